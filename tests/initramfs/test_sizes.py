"""What sealing and a server add to an initramfs by the real generator: how much, and what."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from package.frozen.__main__ import needs_of
from tests.initramfs.installed import (
    BUILD,
    HERE,
    SERVER,
    SERVER_LOCATION,
    lay_out,
    on_a_copy,
)
from tests.tools import output, unavailable

LOCATION = "resume=UUID=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n"
SEALING = "sender=" + "ab" * 32 + "\ntpm2={tpm2}\nask=no\n"
MOST_ADDED = {"sealing": 2 << 20, "server": 11 << 18}
"""Bytes that each may add by itself to an initramfs that zstd has compressed."""

TPM2 = "/usr/bin/tpm2"


class Built(NamedTuple):
    """An initramfs."""

    size: int
    files: set[str]
    """Absolute, and as they are named without the links that join /lib and /usr/lib."""


def build(folder: Path, location: str, sealing: str | None, server: str | None = None) -> Built:
    """Return what mkinitramfs makes of a system with these files, by zstd as it is set there."""
    lay_out(folder / "system", location, sealing, server)
    result = folder / "result"
    settings = "COMPRESS=zstd"
    on_a_copy(folder / "system", result, f"{HERE}/mkinitramfs.sh", str(result), settings)
    tree = result / "tree"
    files = {usual(f"/{path.relative_to(tree)}") for path in tree.rglob("*") if path.is_file()}
    return Built((result / "image").stat().st_size, files)


def usual(path: str) -> str:
    return re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", path)


def libraries_of(program: str) -> list[str]:
    return re.findall(r"(/\S+) \(0x", output("ldd", program))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """An initramfs of a machine that does not seal, and has a store of its own."""
    if not Path("/usr/sbin/mkinitramfs").exists() or not Path("/usr/bin/zstd").exists():
        unavailable("mkinitramfs or zstd is missing")
    return build(tmp_path_factory.mktemp("plain"), LOCATION, None)


@pytest.fixture(scope="module")
def sealing(plain: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Return that of one that seals, without a TPM; the other fixture skips where none is built."""
    assert plain.size
    return build(tmp_path_factory.mktemp("sealing"), LOCATION, SEALING.format(tpm2="no"))


def only(group: str) -> set[str]:
    return set(needs_of(BUILD / "torpor-resume", group).read_text().split())


def test_another_machine_has_nothing_of_it(plain: Built) -> None:
    assert not plain.files & (only("sealing") | only("server"))
    named = "tpm2|tss2|sodium|nacl|torpor/.*(libssl|libcrypto|_socket|server)"
    assert not [name for name in plain.files if re.search(named, name)]


def test_a_machine_that_seals_has_no_more_than_the_list(plain: Built, sealing: Built) -> None:
    assert sealing.files - plain.files == only("sealing") | {"/var/lib/torpor/sealing"}
    assert 0 < sealing.size - plain.size <= MOST_ADDED["sealing"]


def test_nor_has_one_with_a_server(sealing: Built, tmp_path: Path) -> None:
    server = build(tmp_path, SERVER_LOCATION, SEALING.format(tpm2="no"), "access_key=a\n")
    network = "/usr/lib/torpor/server-network"
    assert server.files - sealing.files == only("server") | {SERVER, network}
    assert 0 < server.size - sealing.size <= MOST_ADDED["server"]


def test_with_a_tpm_it_has_the_tool_and_its_libraries_besides(plain: Built, tmp_path: Path) -> None:
    """How large these are is the distribution's: Debian's tool is linked to libcurl."""
    if not Path(TPM2).exists():
        unavailable("tpm2-tools is missing")
    (loader,) = (path for path in libraries_of(TPM2) if "tctildr" in path)
    device = loader.replace("tctildr", "tcti-device")
    named = {TPM2, device, *libraries_of(TPM2), *libraries_of(device)}
    sealing = build(tmp_path, LOCATION, SEALING.format(tpm2="yes"))
    added = sealing.files - plain.files - only("sealing") - {"/var/lib/torpor/sealing"}
    assert added <= {usual(str(path)) for name in named for path in (name, Path(name).resolve())}
    assert {usual(name) for name in named} <= sealing.files
