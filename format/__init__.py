"""The image, the mark and the extent map, byte for byte: docs/FORMAT.md in code.

`layout` declares the records with construct, `records` turns them into dataclasses and back,
`checksum` is the one CRC, `chunks` encodes and decodes one chunk, `writer` and `reader` put a
whole image together and take it apart, `errors` names everything that can be wrong with one.

Nothing here knows a device, a swap area or an ioctl: bytes come from a `Source` and go to a
`Sink`. Imports nothing of ours, and nobody else imports construct.
"""

PAGE_SIZE = 4096
"""Bytes of a page, in an image and on a device, whatever linux.PAGE_SIZE is."""
