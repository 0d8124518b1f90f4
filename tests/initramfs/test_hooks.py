"""The hooks around the resumer, each in its shell: what they do with what it says."""

import re
import subprocess
from pathlib import Path

import pytest

from state.sealing import PATH as SEALING
from tests.initramfs.installed import MODULE, STOCK, UNITS, lay_out, on_a_copy, stock_here
from tests.tools import ROOT, output, put, unavailable

GENERATOR = ROOT / "initramfs/systemd/torpor-resume-generator"
RESUMER = "usr/lib/torpor/resume/torpor-resume"
DRACUT = f"/{MODULE}"
PREMOUNT = "/usr/share/initramfs-tools/scripts/local-premount/0torpor"
HOOK = "/usr/lib/initcpio/hooks/torpor"


def system_with(tmp_path: Path, resumer: str) -> Path:
    """Return the tree of the package with `resumer`, a script, for the real one."""
    tree = tmp_path / "system"
    lay_out(tree, None)
    (tree / RESUMER).write_text(f"#!/bin/sh\n{resumer}\n")
    return tree


def check(tree: Path, **variables: str) -> int:
    """Return what the dracut module's check() says on a system at `tree`."""
    script = f"""
        . {ROOT}/initramfs/dracut/module-setup.sh
        expand_persistent_dev() {{ echo "$1"; }}
        check
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env={"dracutsysrootdir": str(tree), "PATH": "/usr/bin:/bin", **variables},
        check=False,
    )
    return done.returncode


def test_dracut_includes_us_by_our_own_configuration(tmp_path: Path) -> None:
    assert check(tmp_path) == 1, "not installed"
    put(tmp_path, {"usr/lib/torpor/resume.needs": ""})
    assert check(tmp_path) == 0, "for any host"
    assert check(tmp_path, hostonly="1") == 255, "this host has no store"
    put(tmp_path, {"var/lib/torpor/location": "resume=/dev/none\n"})
    assert check(tmp_path, hostonly="1") == 0


@pytest.mark.parametrize("status", [3, 7, 127])
def test_dracut_goes_on_whatever_happens(tmp_path: Path, status: int) -> None:
    tree = system_with(tmp_path, f"echo ran $#; exit {status}")
    script = f'. {DRACUT}/torpor-resume.sh; echo "status $?"'
    assert on_a_copy(tree, tmp_path / "result", "dash", "-c", script) == "ran 0\nstatus 0\n"


def test_dracut_never_resumes_once_the_root_is_mounted(tmp_path: Path) -> None:
    tree = system_with(tmp_path, "echo ran")
    script = f"mkdir -p /new/proc; NEWROOT=/new; . {DRACUT}/torpor-resume.sh"
    assert on_a_copy(tree, tmp_path / "result", "dash", "-c", script) == ""


@pytest.mark.parametrize(
    ("netroot", "before", "done"),
    [
        ("nfs4:10.0.2.2:/root:port=20490", ":", "ran"),
        ("nfs", ":", "ran"),
        ("cifs://server/share", ":", "ran"),
        ("iscsi:10.0.2.2::::iqn.x:y", ":", ""),
        ("nbd:10.0.2.2:10809", ":", ""),
        ("nfs", "mkdir -p /run/torpor; touch /run/torpor/resume", ""),
        ("nfs", 'systemctl() { echo "$@"; }', "start torpor-resume.service"),
    ],
)
def test_dracut_resumes_before_it_mounts_a_servers_root(
    tmp_path: Path, netroot: str, before: str, done: str
) -> None:
    """Once, and by its service where there is systemd."""
    tree = system_with(tmp_path, "echo ran; exit 3")
    script = f'{before}; PATH=/none; netroot="{netroot}"; . {DRACUT}/torpor-netroot.sh; echo "$?"'
    said = on_a_copy(tree, tmp_path / "result", "/bin/busybox", "sh", "-c", script)
    assert said.split("\n") == [*filter(None, [done]), "0", ""]


@pytest.mark.parametrize(
    ("state", "said"),
    [("activating", "1 turns=0"), ("inactive", "0 turns=9"), ("failed", "0 turns=9")],
)
def test_dracuts_queue_goes_on_while_the_service_waits(
    tmp_path: Path, state: str, said: str
) -> None:
    tree = system_with(tmp_path, "exit 1")
    script = f"""
        systemctl() {{ [ "$*" = "is-active torpor-resume.service" ] && echo {state}; return 3; }}
        main_loop=9
        . {DRACUT}/torpor-queue.sh
        echo "$? turns=$main_loop"
    """
    assert on_a_copy(tree, tmp_path / "result", "dash", "-c", script) == f"{said}\n"


@pytest.mark.parametrize(
    ("modules", "hooks"),
    [
        ("systemd nvmf", "initqueue/settled initqueue/finished"),
        ("systemd iscsi network nfs", "netroot initqueue/settled initqueue/finished"),
        ("iscsi network cifs", "netroot"),
        ("systemd network lvm", ""),
    ],
)
def test_dracut_has_hooks_for_what_it_gets_from_servers(
    modules: str, hooks: str, tmp_path: Path
) -> None:
    script = f"""
        dracut_module_included() {{ [[ " {modules} " == *" $1 "* ]]; }}
        inst_hook() {{ echo "$1"; }}
        . {ROOT}/initramfs/dracut/module-setup.sh
        install_for_servers
    """
    variables = {"dracutsysrootdir": str(tmp_path), "PATH": "/usr/bin:/bin"}
    assert output("bash", "-c", script, env=variables).split() == hooks.split()


@pytest.mark.parametrize(
    ("status", "is_sealing", "stock_runs"),
    [(3, False, True), (7, False, False), (127, False, True), (24, True, False), (7, True, False)],
)
def test_mkinitcpio(tmp_path: Path, status: int, is_sealing: bool, stock_runs: bool) -> None:
    """Where images are sealed the stock hook would have the kernel restore one that is not."""
    tree = system_with(tmp_path, f"echo ran $#; exit {status}")
    if is_sealing:
        put(tree, {SEALING: "sender=00\n"})
    script = (
        f"echo resume=/dev/sda >/tmp/cmdline; . {HOOK}; run_hook; "
        'echo "status $?"; cat /tmp/cmdline'
    )
    said = on_a_copy(tree, tmp_path / "result", "/bin/busybox", "ash", "-c", script)
    stock = "" if stock_runs else "noresume=y\n"
    assert said == f"ran 0\nstatus 0\nresume=/dev/sda\n{stock}"


@pytest.mark.parametrize(("status", "sealing"), [(3, ""), (7, ""), (126, ""), (24, SEALING)])
def test_initramfs_tools(tmp_path: Path, status: int, sealing: str) -> None:
    """The real functions of initramfs-tools run local-block, and read conf/param.conf."""
    if not Path("/usr/share/initramfs-tools/scripts/functions").exists():
        unavailable("initramfs-tools-core is missing")
    tree = system_with(tmp_path, f'[ "$1" = --meanwhile ] && shift && "$@" UUID=1-2; exit {status}')
    if sealing:
        put(tree, {sealing: "sender=00\n"})
    script = f"""
        ln -s usr/share/initramfs-tools/scripts /scripts
        mkdir -p /conf /scripts/local-block
        echo 'echo "local-block $*"' >/scripts/local-block/ORDER
        {PREMOUNT} prereqs
        resume=/dev/sda
        {PREMOUNT}
        [ ! -e /conf/param.conf ] || . /conf/param.conf
        echo "resume=$resume"
    """
    said = on_a_copy(tree, tmp_path / "result", "/bin/busybox", "sh", "-c", script)
    stock = "" if status == 7 or sealing else "/dev/sda"
    assert said == f"local-block UUID=1-2\nresume={stock}\n"


def test_the_generator_does_nothing_outside_an_initramfs(tmp_path: Path) -> None:
    units = tmp_path / "units"
    folders = [str(units), f"{units}.early", f"{units}.late"]
    environment = {"TORPOR_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([GENERATOR, *folders], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
    put(tmp_path, {"etc/initrd-release": ""})
    subprocess.run([GENERATOR, *folders], env=environment, check=True)
    link = units / "sysinit.target.wants/torpor-resume.service"
    assert str(link.readlink()) == f"/{UNITS}/torpor-resume.service"


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    tree = tmp_path / "system"
    lay_out(tree, None)
    units = ["torpor-resume.service", stock_here().replace("@", "@dev-sda1")]
    said = on_a_copy(tree, tmp_path / "result", "systemd-analyze", "verify", "--man=no", *units)
    assert "torpor" not in said


def test_systemds_own_resume_is_left_out_where_images_are_sealed() -> None:
    """It would have the kernel restore an image of its own, whoever has made it."""
    drop_in = (ROOT / "initramfs/systemd/systemd-hibernate-resume.conf").read_text()
    assert f"ConditionPathExists=!{SEALING}" in drop_in.splitlines()


def test_nothing_is_mounted_or_checked_before_us() -> None:
    unit = (ROOT / "initramfs/systemd/torpor-resume.service").read_text()
    before = {*" ".join(re.findall("^Before=(.*)$", unit, re.MULTILINE)).split()}
    assert before >= {
        *("local-fs-pre.target", "sysroot.mount", "sysroot-usr.mount", "sysusr-usr.mount"),
        *("systemd-fsck-root.service", "systemd-fsck-usr.service", "initrd-root-fs.target"),
    }
    assert not before & {*STOCK}


CRYPTTAB = """\
# devices
home PARTLABEL=a/b none luks

safe UUID=2a-2\t/etc/key luks,discard
unsafe UUID=3
dm+1 PARTUUID="4B"
last\tUUID='5' none"""
BY = "/dev/disk/by"
SAFE = f"safe {BY}-uuid/2a-2\t/etc/key luks,discard\n"
PLUS = f"dm+1 {BY}-partuuid/4B\n"
LAST = f"last\t{BY}-uuid/5 none\n"
HOME = "home PARTLABEL=a/b none luks\n"


@pytest.mark.parametrize(
    ("named", "items", "taken"),
    [
        ("other", "", ""),
        ("other safe", " /etc/key ", SAFE),
        ("last dm+1", " /etc/crypttab.d ", PLUS + LAST),
        ("home", "", HOME),
        ("safe", " /x /etc/crypttab /y ", f"{HOME}{SAFE}unsafe {BY}-uuid/3\n{PLUS}{LAST}"),
    ],
)
def test_dracut_takes_the_lines_along_that_open_the_store(
    tmp_path: Path, named: str, items: str, taken: str
) -> None:
    """With paths, but for labels with what udev encodes in them.

    Where the user has dracut take crypttab along, it leaves the file that is there already.
    """
    put(tmp_path, {"etc/crypttab": CRYPTTAB})
    script = f". {ROOT}/initramfs/dracut/module-setup.sh; lines_of_crypttab || :"
    variables = {"dracutsysrootdir": str(tmp_path), "PATH": "/usr/bin:/bin"}
    variables |= {"torpor_luks": named, "install_items": items}
    assert output("bash", "-euc", script, env=variables) == taken
