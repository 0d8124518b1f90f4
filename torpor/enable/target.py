"""Where a store is, in words that a later boot understands, and what has to be opened for it."""

import re
from collections.abc import Iterator
from uuid import UUID

from errors import cannot
from initramfs.generators.generator import Target
from linux import stack
from linux.root import HOST, Root
from store.choose import location_of
from store.find import Found

_LUKS = re.compile(r"CRYPT-LUKS\d-([0-9a-f]{32})-")


def target_of(store: Found, root: Root = HOST) -> Target:
    """Return what is known of the store. Raises UnreadableError."""
    try:
        layers = stack.layers(store.place.device, root)
    except OSError as error:
        raise cannot("look at", store.place.device, error) from error
    return Target(
        location_of(store, root),
        tuple(_luks_of(layers)),
        tuple(_volume(layer.dm_name) for layer in layers if layer.dm_uuid.startswith("LVM-")),
    )


def _luks_of(layers: list[stack.Layer]) -> Iterator[tuple[str, str]]:
    for layer in layers:
        if found := _LUKS.match(layer.dm_uuid):
            yield layer.dm_name, str(UUID(found[1]))


def _volume(dm_name: str) -> str:
    """Return VG/LV: device-mapper's name has a hyphen between, and doubles those inside."""
    group, _, volume = re.sub(r"(?<!-)-(?!-)", "/", dm_name, count=1).partition("/")
    return f"{group}/{volume}".replace("--", "-")
