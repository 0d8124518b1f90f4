"""Brings back after a resume what was in memory before it, besides the snapshot.

`record` records what is in memory: `walkers` look for cached files in the mounted `trees`,
`processes` at the files and the memory that processes use, `files` at one file.

`page_out` swaps out what the snapshot has no room for, so that it lies in order in swap.

`replay` brings it back: `file_replay` reads ahead what the page cache held, `process_replay` has
swap read, each in the order of the disk and both as far as `limits` allow; `stats` is the outcome.

Time bounds the first two, free memory bounds the replay. None reads the contents of a file or
follows a link. `background` is what a hibernation needs of all this.
"""
