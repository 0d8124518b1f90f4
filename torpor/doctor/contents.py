"""What the checks keep of an initramfs."""

from collections.abc import Callable, Collection
from functools import partial

from initramfs.archive.initramfs import Initramfs, Source, as_text, fingerprint, read_initramfs
from initramfs.generators.find import decides
from linux.root import Root

_FINGERPRINTS = "lib/torpor/resume/"


def read_contents(source: Source, root: Root, texts: Collection[str]) -> Initramfs:
    """Return what is in the files of an initramfs below `root`.

    Of the files `texts` the text is kept, as of those that a generator goes by. Raises
    InitramfsError, OSError.
    """
    paths = tuple(root.path(path) for path in source.paths)
    return read_initramfs(source._replace(paths=paths), partial(_keep, texts))


def _keep(texts: Collection[str], name: str) -> Callable[[bytes], object] | None:
    if f"/{name}" in texts or decides(name):
        return as_text
    return fingerprint if _FINGERPRINTS in name else None
