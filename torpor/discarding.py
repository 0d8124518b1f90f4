"""Throws an image away, as `torpor discard` and `torpor mkstore` do."""

from state import sealing
from store.efi_location import clear_efi_location_of
from store.header import StoreHeader
from store.protocol import PageSlot


def discard(header: PageSlot) -> None:
    """Let no boot restore the image in the store, nor a copy, where the TPM counts.

    Raises UnreadableError.
    """
    if sealing.is_on():
        from seal.spending import spend_with  # libsodium, where sealing is on

        spend_with(header)
    header.discard()
    header.tidy()
    if isinstance(header, StoreHeader):  # the firmware names no server
        clear_efi_location_of(header)
