"""The last bytes of a swap area's first page, which say what is there (include/linux/swap.h)."""

PAGE_SIZE = 4096
SIZE = 10
OFFSET = PAGE_SIZE - SIZE

SWAP = b"SWAPSPACE2"
KERNEL_IMAGE = b"S1SUSPEND\0"
"""An image of the kernel's own (kernel/power/swap.c)."""
USER_IMAGE = b"ULSUSPEND\0"
"""An image from user space: libblkid knows it and still gives UUID and LABEL."""
