"""What tells an image and a mark at a glance, by itself: most boots need no more of the format."""

SUPERBLOCK_MAGIC = b"\x89TORPOR\n"
MARK_MAGIC = b"TORPMARK"

MARK_OFFSET = 1280
"""In the padding of a swap header, after the words that libblkid wants to be zero (1196-1203),
and in the sector of the UUID: the mark changes with one sector written."""
