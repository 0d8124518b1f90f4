"""Layers that change between snapshot and resume, whose kernel remembers them as they were."""

from collections.abc import Iterator

from errors import Attempt, KernelRefusedError, command
from hibernate.served import layers_of_swap
from linux.mounts import MountTable, active_swaps
from linux.root import Root
from store.stateful import Stateful, stateful

_CLASS = "/sys/class/block"


def refuse_stateful(table: MountTable) -> None:
    """Raise KernelRefusedError if there is such a layer, UnreadableError.

    One that a boot changes counts whatever is on it: the restored machine may mount it later. One
    that notes where it is written to counts below swap, where the kernel writes to make room for
    the snapshot, and while the image is saved.
    """
    with Attempt("look at what block devices are made of", _CLASS):
        for each in _set_up(table.root):
            if each.no_use:
                raise KernelRefusedError(f"{each.path} is {each.kind}, {each.no_use}", each.remedy)
        for area in active_swaps(table.root):
            for layer in layers_of_swap(area, table):
                for each in stateful(layer.name, table.root):
                    if each.no_store:
                        raise KernelRefusedError(
                            f"the swap on {area.path} is on {each}, {each.no_store}",
                            f"do without it: {command('swapoff', area.path)}",
                        )


def _set_up(root: Root) -> Iterator[Stateful]:
    for name in root.names(_CLASS):
        yield from stateful(name, root)
