"""Where an image lives: a device of its own, an active swap partition, an ordinary file.

`blocks` reads and writes an image over runs of pages of a device, `file` an ordinary file;
`header` is a device's first page with its mark; `device` and `swap` are the stores that a
hibernation can write to; `image` opens whatever holds an image; `locate` finds a device by what
`resume=` says, `efi_location` is the place that the firmware names. `errors` names what can be
wrong with a store.

Uses format and kernel. Does not know why an image is read or written.
"""
