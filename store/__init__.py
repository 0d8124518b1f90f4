"""Where an image lives: a device of its own, an active swap area, an ordinary file.

`protocol` says what a store is to whoever writes, restores, verifies or examines an image. `choose`
says which one is used, `find` looks at it and opens it, `volatile` refuses what does not last. The
kinds are `device`, `swap` and `file_store`, on what they share in `base`; `header` is the first
page with the mark, `blocks` moves an image over runs of pages, `file` an ordinary file, `image`
opens whatever holds one. `locate` finds a device by what `resume=` says, `place` where a file lies,
`efi_location` is the place that the firmware names, `identity` this machine in an image's words.

Does not know why an image is read or written.
"""
