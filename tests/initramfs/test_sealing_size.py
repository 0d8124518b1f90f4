"""What sealing adds to an initramfs by the real generator: its size, and what it is."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.initramfs.installed import BUILD, HERE, lay_out, on_a_copy
from tests.tools import output, unavailable

LOCATION = "resume=UUID=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n"
SEALING = "sender=" + "ab" * 32 + "\ntpm2={tpm2}\nask=no\n"
MOST_ADDED = 2 << 20
"""Bytes that sealing may add by itself to an initramfs that zstd has compressed."""

TPM2 = "/usr/bin/tpm2"


class Built(NamedTuple):
    """An initramfs."""

    size: int
    files: set[str]
    """Absolute, and as they are named without the links that join /lib and /usr/lib."""


def build(folder: Path, sealing: str | None) -> Built:
    """Return what mkinitramfs makes of a system with that file, by zstd as it is set there."""
    lay_out(folder / "system", LOCATION, sealing)
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
    """An initramfs of a machine that does not seal."""
    if not Path("/usr/sbin/mkinitramfs").exists() or not Path("/usr/bin/zstd").exists():
        unavailable("mkinitramfs or zstd is missing")
    return build(tmp_path_factory.mktemp("plain"), None)


def only_sealing() -> set[str]:
    return set((BUILD / "torpor-resume-sealing.needs").read_text().split())


def test_another_machine_has_nothing_of_it(plain: Built) -> None:
    assert not plain.files & only_sealing()
    assert not [name for name in plain.files if re.search("tpm2|tss2|sodium|nacl", name)]


def test_a_machine_that_seals_has_no_more_than_the_list(plain: Built, tmp_path: Path) -> None:
    sealing = build(tmp_path, SEALING.format(tpm2="no"))
    assert sealing.files - plain.files == only_sealing() | {"/var/lib/torpor/sealing"}
    assert 0 < sealing.size - plain.size <= MOST_ADDED


def test_with_a_tpm_it_has_the_tool_and_its_libraries_besides(plain: Built, tmp_path: Path) -> None:
    """How large these are is the distribution's: Debian's tool is linked to libcurl."""
    if not Path(TPM2).exists():
        unavailable("tpm2-tools is missing")
    (loader,) = (path for path in libraries_of(TPM2) if "tctildr" in path)
    device = loader.replace("tctildr", "tcti-device")
    named = {TPM2, device, *libraries_of(TPM2), *libraries_of(device)}
    sealing = build(tmp_path, SEALING.format(tpm2="yes"))
    added = sealing.files - plain.files - only_sealing() - {"/var/lib/torpor/sealing"}
    assert added <= {usual(str(path)) for name in named for path in (name, Path(name).resolve())}
    assert {usual(name) for name in named} <= sealing.files
