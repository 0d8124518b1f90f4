"""The image, the mark and the extent map, byte for byte: docs/FORMAT.md in code.

`layout` declares every record and brings their fields to bytes and back; `records` are an image's,
`tables` and `working_set` its tables, `mark` what a device has besides, in and behind the
`first_page`. `chunks` encodes and decodes one chunk, `writer` and `reader` put a whole
image together and take it apart.

Nothing here knows a device, a swap area or an ioctl: bytes come from a `Source` and go to a
`Sink`. Nobody but `layout` and `sealed_layout` imports construct.
"""

PAGE_SIZE = 4096
"""Bytes of a page, in an image and on a device, whatever linux.PAGE_SIZE is."""


def whole_pages(size: int) -> int:
    """Return the bytes of as many pages as `size` bytes take."""
    return -(-size // PAGE_SIZE) * PAGE_SIZE
