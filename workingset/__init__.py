"""Brings back after a resume what was in memory before it, besides the snapshot.

`record` takes note of what is in memory: `walkers` look for cached files in the `trees` that are
mounted, `processes` at the files and the memory that processes use, `files` at one file.

`replay` brings it back: `file_replay` reads ahead what the page cache held, `process_replay` has
swap read, each in the order of the disk and both as far as `limits` allow; `requests` are what is
read together.

Both are bounded: by time the one, by free memory the other. Neither reads a byte of a file itself,
nor follows a link. Uses format, kernel and store.
"""
