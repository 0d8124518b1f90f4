"""Linux interfaces, one to one, without decisions.

`snapshot` is /dev/snapshot, a method per ioctl; `hibernation` is the kernel's own resume;
`efivar` reads the firmware's variables; `power` turns the machine off; `freeze` stops file
systems, `cgroups` groups of processes; `tasks` lists processes; `mounts` reads mountinfo; `block`
asks and opens block devices; `swap` reads /proc/swaps and swap headers; `cmdline` the kernel
command line; `machine` says which kernel and memory map this is; `kmsg` is the kernel log;
`process` is about our own process. `residency` and `pagemap` say what is in memory of files and
of processes, `opening` opens files by what is known of them, and `advice` has them read.

Errors are OSError, as the kernel gives them. Imports nothing of ours.
"""
