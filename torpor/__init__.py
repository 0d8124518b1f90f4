"""The `torpor` command: words in, words and exit codes out.

`__main__` holds the parser and the one place where errors become messages and exit codes;
`images` the commands on an image (verify, inspect, pack, unpack), `stores` those on a store and
the machine (mkstore, discard, hibernate), `stale` discards what the resumer kept in vain,
`output` prints, `progress` shows the bar.

Nothing here knows a byte of the format or an ioctl.
"""

VERSION = "0.1.0"
