"""Files of a system that lies below a folder."""

from pathlib import Path

from linux.root import Root


def write(root: Root, files: dict[str, str]) -> None:
    """Write each file, by its path on that system, with the folders above it."""
    for name, text in files.items():
        path = Path(root.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
