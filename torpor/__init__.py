"""The `torpor` command: words in, words and exit codes out.

`commands` has a file for each command, its parser and its work. `__main__` collects them, and is
the one place where errors become messages and exit codes. `output` prints; `arguments` and `image`
are what several commands share. `doctor` checks the machine, `enable` changes the system.

Nothing here knows a byte of the format or an ioctl.
"""

VERSION = "0.1.0"
