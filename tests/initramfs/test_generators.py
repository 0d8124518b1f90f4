"""Initramfs images by the real generators, or a stand-in: all that is needed is in them."""

import shutil
from pathlib import Path

import pytest

from errors import NotReadyError
from linux.root import Root
from tests.initramfs.installed import HERE, UNITS, lay_out, on_a_copy, stock_here
from tests.tools import output, put, unavailable
from torpor.doctor.rebuilt import after_rebuild

LOCATION = "resume=UUID=0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0\n"
SENDER = "ab" * 32
AGENT = ("systemd-ask-password-console.path", "systemd-ask-password-console.service")
"""What has a question of systemd-ask-password seen."""


@pytest.fixture
def system(tmp_path: Path) -> Path:
    tree = tmp_path / "system"
    lay_out(tree, LOCATION)
    return tree


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "result"


def disable(system: Path) -> None:
    """Have the package installed only: the resumer is there all the same, and whose it is."""
    (system / "var/lib/torpor/location").unlink()


def seal(system: Path, *, tpm2: str = "no", ask: str = "no") -> None:
    """Have the machine seal its images."""
    if tpm2 == "yes":
        require("tpm2")
    text = f"# Written by torpor enable.\nsender={SENDER}\ntpm2={tpm2}\nask={ask}\n"
    put(system, {"var/lib/torpor/sealing": text})


def require(program: str) -> None:
    if shutil.which(program, path="/usr/sbin:/usr/bin") is None:
        unavailable(f"{program} is missing")


def build(system: Path, result: Path, *command: str) -> Path:
    """Build with a command of this folder, check what came out, and return it unpacked."""
    script, *arguments = command
    both = '"$@" && exec "$0" "$TREE"'
    on_a_copy(
        system,
        result,
        *("env", f"TREE={result}/tree", "sh", "-c", both),
        *(f"{HERE}/check.sh", f"{HERE}/{script}", *arguments),
    )
    return result / "tree"


def doctor_remarks(system: Path, image: Path) -> list[str]:
    """Return what torpor enable would say of the image."""
    put(system, {"proc/sys/kernel/osrelease": "6.1.0\n"})
    put(system, {"boot/initrd.img-6.1.0": image.read_bytes()})
    return after_rebuild(Root(str(system)), "torpor enable", 0)


def files(tree: Path, folder: str) -> list[str]:
    return sorted(path.name for path in (tree / folder).iterdir())


@pytest.mark.parametrize("options", [[], ["--aggressive-strip"]], ids=["plain", "stripped"])
def test_dracut(system: Path, result: Path, options: list[str]) -> None:
    require("dracut")
    if options:
        disable(system)
        seal(system)
    tree = build(system, result, "dracut.sh", str(result), "base resume torpor", *options)
    hooks = "usr/lib/dracut/hooks"
    assert files(tree, f"{hooks}/initqueue/finished")[0] == "000-torpor-wait.sh"
    assert "00-torpor-wait.sh" in files(tree, f"{hooks}/initqueue/settled")
    assert files(tree, f"{hooks}/pre-mount")[0] == "05-torpor-resume.sh"
    assert (tree / "usr/lib/dracut/resume.sh").exists(), "the stock module is there"
    told = [path.read_text() for path in (tree / "etc/cmdline.d").glob("*torpor*")]
    assert told == (["noresume\n"] if options else []), "it runs unless images are sealed"
    assert not (tree / UNITS / "torpor-resume.service").exists()
    assert doctor_remarks(system, result / "image") == []


def test_dracut_without_us(system: Path, result: Path) -> None:
    require("dracut")
    on_a_copy(system, result, f"{HERE}/dracut.sh", str(result), "base resume")
    with pytest.raises(NotReadyError, match="does not hold the resumer"):
        doctor_remarks(system, result / "image")


def assert_it_can_ask(tree: Path, *, is_so: bool) -> None:
    """See that all is there that asks for a passphrase, or none of it."""
    programs = {f"usr/bin/systemd-{name}" for name in ("ask-password", "tty-ask-password-agent")}
    wanted = {f"{UNITS}/sysinit.target.wants/{AGENT[0]}", *(f"{UNITS}/{unit}" for unit in AGENT)}
    there = {name for name in programs | wanted if (tree / name).exists()}
    assert there == (programs | wanted if is_so else set())


@pytest.mark.parametrize("is_sealing", [False, True], ids=["plain", "sealing"])
def test_dracut_with_systemd(system: Path, result: Path, *, is_sealing: bool) -> None:
    """Dracut 059 brings itself what asks."""
    require("dracut")
    if is_sealing:
        seal(system, tpm2="yes", ask="yes")
    modules = "base systemd systemd-initrd dracut-systemd resume torpor"
    tree = build(system, result, "dracut.sh", str(result), modules)
    assert (tree / UNITS / "torpor-resume.service").exists()
    assert (tree / UNITS / stock_here()).exists()
    assert (tree / UNITS / f"{stock_here()}.d/torpor.conf").exists()
    generators = files(tree, "usr/lib/systemd/system-generators")
    assert {"torpor-resume-generator", "systemd-hibernate-resume-generator"} <= {*generators}
    assert not list((tree / "usr/lib/dracut/hooks").rglob("*torpor*"))
    if is_sealing:
        assert_it_can_ask(tree, is_so=True)
    assert doctor_remarks(system, result / "image") == []


@pytest.mark.parametrize(("busybox", "tpm2"), [("y", None), ("n", "no"), ("y", "yes")])
def test_initramfs_tools(system: Path, result: Path, busybox: str, tpm2: str | None) -> None:
    require("mkinitramfs")
    if busybox == "n":
        disable(system)
    if tpm2:
        seal(system, tpm2=tpm2)
    tree = build(system, result, "mkinitramfs.sh", str(result), f"BUSYBOX={busybox}")
    order = (tree / "scripts/local-premount/ORDER").read_text()
    scripts = [line.split()[0] for line in order.splitlines() if line.startswith("/")]
    ours = scripts.index("/scripts/local-premount/0torpor")
    assert ours < scripts.index("/scripts/local-premount/resume")
    assert "/scripts/nfs-premount/0torpor" in (tree / "scripts/nfs-premount/ORDER").read_text()
    assert doctor_remarks(system, result / "image") == []


def mkinitcpio(system: Path, result: Path, *hooks: str) -> Path:
    return build(system, result, "mkinitcpio.bash", f"{result}/tree", *hooks)


@pytest.mark.parametrize("tpm2", [None, "yes"])
def test_mkinitcpio(system: Path, result: Path, tpm2: str | None) -> None:
    if tpm2:
        seal(system, tpm2=tpm2, ask="yes")
    tree = mkinitcpio(system, result, "base", "torpor")
    assert files(tree, "hooks") == ["torpor"]
    assert (tree / "config").read_text() == 'HOOKS="torpor"\n'
    assert not (tree / UNITS / "torpor-resume.service").exists()


@pytest.mark.parametrize(
    ("before", "ask"), [(("base", "systemd"), None), (("systemd",), "no"), (("systemd",), "yes")]
)
def test_mkinitcpio_with_systemd(
    system: Path, result: Path, before: tuple[str, ...], ask: str | None
) -> None:
    """Without busybox, too, which the hook base brings."""
    if len(before) == 1:
        disable(system)
    if ask:
        seal(system, ask=ask)
    tree = mkinitcpio(system, result, *before, "sd-torpor")
    assert (tree / UNITS / "torpor-resume.service").exists()
    for unit in ("systemd-hibernate-resume@.service", "systemd-hibernate-resume.service"):
        assert (tree / UNITS / f"{unit}.d/torpor.conf").exists()
    assert (tree / "usr/lib/systemd/system-generators/torpor-resume-generator").exists()
    assert (tree / "config").read_text() == 'HOOKS=""\n', "busybox hooks do not run there"
    assert_it_can_ask(tree, is_so=ask == "yes")


@pytest.mark.parametrize(
    ("hooks", "gone", "said"),
    [
        (("base", "torpor", "nothing"), "", "hook nothing cannot be found"),
        (("base", "sd-torpor"), "", "sd-torpor does nothing without the hook systemd"),
        (("base", "sd-torpor", "systemd"), "", "sd-torpor does nothing without the hook systemd"),
        (("systemd", "torpor"), "", "torpor never runs with the hook systemd"),
        (("base", "torpor"), "usr/lib/torpor/resume/torpor-resume", "file not found"),
        (("base", "torpor"), "usr/lib/initcpio/hooks/torpor", "no runtime script for torpor"),
        (("base", "torpor"), "usr/lib/torpor/resume/_internal/libpython*", "libpython3"),
        (("systemd", "sd-torpor"), f"{UNITS}/torpor-resume.service", "file not found"),
        (
            ("systemd", "sd-torpor"),
            f"{UNITS}/systemd-hib*@.service.d/torpor.conf",
            "file not found",
        ),
    ],
)
def test_what_mkinitcpio_says_no_to(
    hooks: tuple[str, ...], gone: str, said: str, system: Path, result: Path
) -> None:
    """It makes an image all the same: all that tells is the exit status, and so has to be 1."""
    needs = system / "usr/lib/torpor/resume.needs"
    few = [need for need in needs.read_text().splitlines() if "libpython" in need]
    needs.write_text("".join(f"{need}\n" for need in few))
    for file in system.glob(gone) if gone else ():
        file.unlink()
    with pytest.raises(AssertionError, match=said):
        mkinitcpio(system, result, *hooks)
    assert (result / "tree/config").exists()


@pytest.mark.parametrize("hook", ["torpor", "sd-torpor"])
def test_help_of_mkinitcpios_hooks(hook: str, system: Path) -> None:
    """As `mkinitcpio -H` asks for it."""
    script = f". {system}/usr/lib/initcpio/install/{hook} && help"
    assert output("bash", "-c", script).startswith("This hook resumes from an image of Torpor")
