"""Where an image lives: a device of its own, an active swap area, an ordinary file.

`protocol` says what a store is to whoever writes, restores, verifies or examines an image. `choose`
says which one is used, `find` looks at it and opens it. The kinds are `device`, which has what they
share, `swap` and `file_store`; `header` is the first page with the mark, `blocks` moves an image
over runs of pages, `image` opens whatever holds one and writes ordinary files. `locate` finds a
device by what `resume=` says, `place` says where a file lies, and refuses what does not last.
`efi_location` is the place that the firmware names, `identity` this machine in an image's words.

Does not know why an image is read or written.
"""
