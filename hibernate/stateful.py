"""Layers that a boot changes before it restores an image, whose kernel remembers them as they were.

Whatever is set up counts, mounted or not: the restored machine may mount it later.
"""

from errors import Attempt, KernelRefusedError
from linux.root import Root
from store.stateful import Stateful, stateful

_CLASS = "/sys/class/block"


def refuse_stateful(root: Root) -> None:
    """Raise KernelRefusedError if there is such a layer, UnreadableError."""
    found: list[Stateful] = []
    with Attempt("look at what block devices are made of", _CLASS):
        for name in root.names(_CLASS):
            found += (each for each in stateful(name, root) if each.no_use)
    for each in found:
        raise KernelRefusedError(f"{each.path} is {each.kind}, {each.no_use}", each.remedy)
