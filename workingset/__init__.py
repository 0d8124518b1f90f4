"""Brings back after a resume what was in memory before it, besides the snapshot.

`record` takes note of what is in memory: `walkers` look for cached files in the `trees` that are
mounted, `processes` at the files and the memory that processes use, `files` at one file.

`page_out` has swapped out what the snapshot has no room for, so that it lies in order.

`replay` brings it back: `file_replay` reads ahead what the page cache held, `process_replay` has
swap read, each in the order of the disk and both as far as `limits` allow; `stats` is the outcome.

All are bounded: by time the first two, by free memory the other. None reads a byte of a file
itself, nor follows a link. Uses format, kernel and store.
"""
