"""What the first page of a device or file says at a glance, without its fields and checksums."""

from format.magic import MARK_MAGIC, MARK_OFFSET, SUPERBLOCK_MAGIC
from linux import signature

STORE_MAGIC = b"TORPSTOR"

Page = bytes | bytearray | memoryview


def signature_of(page: Page) -> bytes:
    """Return the last ten bytes."""
    return bytes(page[signature.OFFSET : signature.PAGE_SIZE])


def has_store_magic(page: Page) -> bool:
    """Return whether mkstore prepared this at some time; mkswap since leaves the magic there."""
    return page[: len(STORE_MAGIC)] == STORE_MAGIC


def has_mark_magic(page: Page) -> bool:
    """Return whether there is a mark, whatever the signature says of it."""
    return page[MARK_OFFSET : MARK_OFFSET + len(MARK_MAGIC)] == MARK_MAGIC


def is_store(page: Page) -> bool:
    """Return whether mkstore prepared this, and nothing made it swap since."""
    return has_store_magic(page) and signature_of(page) == signature.USER_IMAGE


def holds_image(page: Page) -> bool:
    """Return whether Torpor put an image here, readable or not, that was not cleared."""
    return has_mark_magic(page) and signature_of(page) == signature.USER_IMAGE


def begins_image(page: Page) -> bool:
    """Return whether the bytes of an image begin here, as in a file that is one."""
    return page[: len(SUPERBLOCK_MAGIC)] == SUPERBLOCK_MAGIC


def describe(page: Page, name: str) -> str:
    """Say what `name` is, whose first page has no mark."""
    if begins_image(page):
        return f"{name} holds an image's bytes, but no mark: copy them to a file"
    if is_store(page):
        return f"the store {name} is empty"
    found = signature_of(page)
    if found == signature.SWAP:
        return f"{name} is swap without an image"
    if found == signature.KERNEL_IMAGE:
        return f"{name} holds an image of the kernel's own"
    if found == signature.USER_IMAGE:
        return f"{name} holds an image of another program"
    return f"{name} is neither an image, nor a store, nor swap"
