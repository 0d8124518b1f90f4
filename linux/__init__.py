"""Linux interfaces, one to one, without decisions.

Files and devices: `root` has files below a root, `proc` text of the kernel, `block` open devices,
`stack` their layers, `mounts`, `filesystem` freezing and syncing; `extents` says where
files lie. To hibernate: `snapshot` is /dev/snapshot, `power` reboot(2) and /sys/power,
`efivar` the firmware's variables, `cmdline` the kernel command line, `kmsg` the kernel log,
`machine` kernel and processor. Processes: `tasks`, `cgroups`; `programs` runs others. Memory:
`memory` says how much there is, `process_memory` and `page_cache` what is in it; `opening` opens
files without following anything, `open_file` closes them. `libc` is the C library, with the numbers
of system calls.

Errors are OSError, as the kernel gives them.
"""

import mmap

PAGE_SIZE = mmap.PAGESIZE
"""Bytes of a page of this machine."""
