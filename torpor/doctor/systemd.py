"""systemd's configuration as systemd reads it: its folders, and what hides what."""

from collections.abc import Iterator, Mapping, Sequence

from initramfs.generators.systemd import boolean
from linux.root import Root

CONF_FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
"""The best first: a file hides those of the same name in the folders behind (sleep.conf.d(5))."""

UNIT_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
"""The same for units and their drop-ins (systemd.unit(5), table of the unit load path)."""


def forbidden_by(root: Root, name: str, section: str, key: str) -> tuple[str, str] | None:
    """Return path and value of what says no in the configuration file, None where nothing does.

    The last assignment in main file and drop-ins counts; an empty one takes the others back, and
    one that is no boolean is none (conf-parser.c, config_parse_tristate).
    """
    found = None
    for path in _configuration(root, name):
        for where, what, value in _assignments(root.text(path) or ""):
            if (where, what) != (section, key) or (value and boolean(value) is None):
                continue
            found = (path, value) if boolean(value) is False else None
    return found


def masked_by(root: Root, unit: str) -> str:
    """Return the path of the link to /dev/null, or of the empty file, that masks a unit, or ""."""
    path = _first(root, [f"{folder}/{unit}" for folder in UNIT_FOLDERS])
    return path if path and not root.data(path, 1) else ""


def drop_ins_of(root: Root, unit: str) -> dict[str, str]:
    """Return a unit's drop-ins, path and text, in the order in which they apply."""
    paths = _drop_ins(root, [f"{folder}/{unit}.d" for folder in UNIT_FOLDERS])
    return {path: root.text(path) or "" for path in paths}


def starts_of(drop_ins: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return by which of a service's drop-ins what is started, one command after the other.

    An empty one takes back those before it (systemd.service(5), ExecStart=).
    """
    found: list[tuple[str, str]] = []
    for path, text in drop_ins.items():
        for section, key, value in _assignments(text):
            if (section, key) == ("Service", "ExecStart"):
                found = [*(found if value else []), (path, value)]
    return found


def _configuration(root: Root, name: str) -> list[str]:
    """Return the main file, of which only the first counts, and the drop-ins."""
    main = _first(root, [f"{folder}/{name}" for folder in CONF_FOLDERS])
    drop_ins = _drop_ins(root, [f"{folder}/{name}.d" for folder in CONF_FOLDERS])
    return [main, *drop_ins] if main else drop_ins


def _first(root: Root, paths: Sequence[str]) -> str:
    return next((path for path in paths if root.exists(path)), "")


def _drop_ins(root: Root, folders: Sequence[str]) -> list[str]:
    found = {
        name: f"{folder}/{name}"
        for folder in reversed(folders)
        for name in root.names(folder)
        if name.endswith(".conf") and name[0] != "."
    }
    return [found[name] for name in sorted(found)]


def _assignments(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value of each assignment."""
    section = ""
    for line in _lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            yield section, key.strip(), value.strip()


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without comments; a backslash at the end joins the next one to a line."""
    held = ""
    for line in text.split("\n"):
        if line.strip()[:1] in ("#", ";") and line.strip():
            continue
        held += line.rstrip("\r")
        if (len(held) - len(held.rstrip("\\"))) % 2:
            held = held[:-1] + " "
            continue
        yield held.strip()
        held = ""
    yield held.strip()
