"""The guard: whether a file system is still as it was when the snapshot was taken.

`take` reads the fingerprints of what is mounted, `compare` finds the devices again and compares,
`stale` says whether that has made an image worthless. `layers` tells what a device lies on, and
`place` where its disk hangs.
`kinds` says which file system gets which fingerprint, and has those that are a superblock; others
are `xfs`, `fat`, `exfat`, `ntfs`, `f2fs`, `nilfs2`, `swap`, and `sample` for all the rest;
`clusters` is what the two FATs share.
`device` reads past the page cache, `part` what a loop device shows of one. docs/RELIABILITY.md says
what is read, and why it is enough.

Nothing here writes, and nothing read from a device is trusted: a corrupt file system, or one of
another kind, is "not this file system", never an error.
"""
