"""The writer: takes the snapshot and puts it where the resumer finds it.

`plan` is what was asked for. `attempts` is all of a hibernation, with what goes before and after
it; `sequence` is one attempt, each step with its undo.

`freeze` freezes the machine: `cgroups` most tasks, but not the helpers of file systems, `flush`
writes out what is dirty, and `filesystems` stops what is mounted. What would never end then, or
not be what the restored kernel remembers, is refused before (`served`, `unlisted`, `stateful`).

`reclaim` makes room in memory before. `writing` puts the snapshot on the store, `marking` sets and
clears the mark, `watchdog` undoes what must not stay if the writer dies, `last_resort` ends what
hangs, `power_off` is the end of the first life. `signals` wait in between.

Between freeze and thaw nothing is written to a file system and nothing printed: whoever reads
a terminal or a pipe is frozen too. What there is to say goes to the kernel log.
Uses format, linux, store, state, guard and workingset, never resume.
"""
