"""The lines of crypttab(5): how encrypted devices are opened.

As systemd reads them (src/cryptsetup/cryptsetup-generator.c, add_crypttab_devices), and Debian's
scripts of cryptsetup (debian/functions, crypttab_foreach_entry), which know octal escapes, too.
"""

import os
import re
from typing import NamedTuple

PATH = "/etc/crypttab"
_RANDOM_KEYS = ("/dev/urandom", "/dev/random", "/dev/hwrng")
_FIELD = r"[^ \t\v\f\r]+"
_FIELDS = 4
_ESCAPE = r"\\0([0-7]{1,3})"
_DEVICES = ("/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL=", "ID=")
_NOT_KEPT = ("/dev/", "/proc/", "/run/", "/sys/")
"""Below these are devices, and files that the kernel or a program makes at each boot."""


class Line(NamedTuple):
    """How one device is opened."""

    source: str
    """What is opened: a path, or UUID=, LABEL=, PARTUUID=, PARTLABEL=."""
    key: str
    """The third field: a path, PATH:DEVICE, what a keyscript is given; "" if it is missing."""
    options: tuple[str, ...]
    text: str
    """The line itself."""

    def value(self, option: str) -> str | None:
        """Return the value of an option, "" for one without, None if it is not given."""
        given = (word.partition("=") for word in reversed(self.options))
        return next((value for name, _, value in given if name == option), None)

    @property
    def has_random_key(self) -> bool:
        """Whether the key is another one each time that it is opened."""
        return bool({self.key, os.path.realpath(self.key)} & {*_RANDOM_KEYS})

    @property
    def uuid(self) -> str:
        """The UUID by which it names what is opened, "" where it does not."""
        tag, _, value = self.source.partition("=")
        if tag == "UUID":
            return value.strip("\"'")
        folder, _, name = self.source.rpartition("/")
        return name if folder == "/dev/disk/by-uuid" else ""

    @property
    def is_noauto(self) -> bool:
        """Whether it is opened only where something else asks for it: the last word counts."""
        return [word for word in self.options if word in ("noauto", "auto")][-1:] == ["noauto"]

    @property
    def key_device(self) -> tuple[str, str]:
        """The path of the key on another device, and that device, "" and "" if it is on none."""
        path, _, device = self.key.rpartition(":")
        is_one = path[:1] == "/" and not path.startswith(_NOT_KEPT) and device.startswith(_DEVICES)
        return (path, device) if is_one else ("", "")

    @property
    def key_file(self) -> str:
        """The path of the file beside crypttab that has the key, "" if nothing of that kind has.

        Or what tpm2-device= and the like need beside the device: what is sealed, or salt.
        """
        return _path_here(self.key)

    @property
    def header(self) -> str:
        """The path of the file beside crypttab that has LUKS's header, "" if it is elsewhere."""
        return _path_here(self.value("header") or "")


def _path_here(spec: str) -> str:
    is_on_device = ":" in spec and spec.rpartition(":")[2].startswith(_DEVICES)
    return spec if spec[:1] == "/" and not (spec.startswith(_NOT_KEPT) or is_on_device) else ""


def parse(text: str) -> dict[str, Line]:
    """Return the lines by the names under which they open devices; of one name the first counts."""
    found: dict[str, Line] = {}
    for line in text.split("\n"):
        fields = re.findall(_FIELD, line)[:_FIELDS]
        if len(fields) < 2 or fields[0].startswith("#"):
            continue
        name, source, key = map(_decoded, [*fields, ""][:3])
        options = _options(fields[3]) if len(fields) == _FIELDS else ()
        found.setdefault(name, Line(source, key, options, line))
    return found


def line_of(key: str, options: str) -> Line:
    """Return a line with this key and these options, as they are written."""
    return Line("", key, _options(options), "")


def _options(field: str) -> tuple[str, ...]:
    """Return the options: Debian escapes a comma inside in octal, systemd by a backslash."""
    return tuple(map(_decoded, re.split(r"(?<!\\),", field)))


def udev_path(spec: str) -> str:
    """Return the path by which udev knows what UUID=, LABEL= and the like name."""
    tag, is_tag, value = spec.partition("=")
    return spec if not is_tag or spec[0] == "/" else f"/dev/disk/by-{tag.lower()}/{value}"


def _decoded(field: str) -> str:
    return re.sub(_ESCAPE, lambda found: chr(int(found[1], 8) & 0xFF), field)
