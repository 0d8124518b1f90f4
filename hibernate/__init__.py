"""The writer: takes the snapshot and puts it where the resumer finds it.

`choose` finds the store, `filesystems` stops what is mounted, `guardian` thaws it if the writer
dies, `capture` is the whole sequence with its undo, `power_off` the end of the first life,
`errors` what can go wrong here only.

Between freeze and thaw nothing is written to a file system and nothing printed: whoever reads
a terminal or a pipe is frozen too. What there is to say goes to the kernel log.
Uses format, kernel and store, never resume.
"""
