"""Debian roots: with systemd, a kernel, a generator and the package installed, or with less."""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vm.apt import apt_of, sources
from vm.disks import blank_disk
from vm.host import GUEST_SCRIPTS, HostError, kept, run
from vm.kernels import Kernel, kernel_of
from vm.suites import SUITES, Suite

ROOT_MIB = 2048
ROOTS_KEPT = 8
BASES_KEPT = 20
"""All suites with all their kernels and generators."""
SCRIPTS = GUEST_SCRIPTS / "debian"
AGENT = {
    "agent.sh": "usr/lib/agent/agent.sh",
    "life.sh": "usr/lib/agent/life.sh",
    "hibernate.sh": "usr/lib/agent/hibernate.sh",
    "later.sh": "usr/lib/agent/later.sh",
    "agent.service": "etc/systemd/system/agent.service",
    "sleep-hook.sh": "usr/lib/systemd/system-sleep/agent",
}

# What all roots have; the agent needs no more than a shell, and there is no Python.
COMMON = """
    binutils cpio cryptsetup cryptsetup-bin dbus dmsetup e2fsprogs kmod kpartx
    libpam-systemd linux-base lvm2 mount procps systemd systemd-sysv udev util-linux-extra zstd
"""
INITRAMFS_TOOLS = "initramfs-tools busybox cryptsetup-initramfs"

# A kernel's package has 400 MB of modules, which these machines have no hardware for.
WITHOUT = """
    /usr/share/doc/* /usr/share/man/* /usr/share/locale/*
    */lib/modules/*/kernel/drivers/* */lib/modules/*/kernel/net/* */lib/modules/*/kernel/sound/*
    */lib/modules/*/kernel/arch/x86/kvm/*
"""
DPKG = ("--force-unsafe-io", "--force-confold")
DRIVERS = """
    drivers/acpi drivers/ata drivers/block drivers/cdrom drivers/char drivers/input drivers/md
    drivers/scsi drivers/virtio
"""
"""Folders of the kernel's modules."""


@dataclass(frozen=True, slots=True)
class Generator:
    """What makes the initramfs: its packages and its configuration."""

    name: str
    packages: str
    configuration: dict[str, str]
    """Files and what stands in them."""
    modules: str = ""
    """Folders of further ones, besides DRIVERS."""


TPM2 = "tpm2-tools libtss2-tcti-device0"
"""For what seals by a TPM; Debian's kernels have the drivers built in."""

# The modules these machines need instead of most, and the fastest ways to pack.
INITRAMFS_TOOLS_CONF = {
    "etc/initramfs-tools/conf.d/tests": "MODULES=list\nCOMPRESSLEVEL=1\n",
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\n",
}
DRACUT_FILE = "etc/dracut.conf.d/tests.conf"
# dracut 112 makes an image for the machine that it runs on, if not told otherwise: the host.
DRACUT_CONF = 'hostonly="no"\ncompress="zstd -q -1 -T0"\n'
# A laptop (vm/laptop.py) has what its installation takes, and two boot loaders.
LAPTOP = f"""
    {INITRAMFS_TOOLS} dosfstools fdisk grub-efi-amd64 systemd-boot systemd-boot-efi systemd-ukify
    {TPM2}
"""
LAPTOP_CONF = {
    **INITRAMFS_TOOLS_CONF,
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\nnvme\next4\naesni_intel\n",
}
WITHOUT_SYSTEMD = 'omit_dracutmodules+=" systemd systemd-initrd dracut-systemd "\n'

GENERATORS = {
    generator.name: generator
    for generator in (
        Generator("initramfs-tools", INITRAMFS_TOOLS, INITRAMFS_TOOLS_CONF),
        Generator("dracut", "dracut", {DRACUT_FILE: DRACUT_CONF}),
        Generator("dracut-shell", "dracut", {DRACUT_FILE: DRACUT_CONF + WITHOUT_SYSTEMD}),
    )
}
SEALING = {
    f"{name}-tpm2": replace(each, name=f"{name}-tpm2", packages=f"{each.packages} {TPM2}")
    for name, each in GENERATORS.items()
}
"""Generators to be tried where the tools for a TPM are."""
E1000 = "drivers/net/ethernet/intel/e1000"
"""Of what a machine with a network has."""
NETWORK_CONF = {
    **INITRAMFS_TOOLS_CONF,
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\ncrc32c_generic\ne1000\nsd_mod\n",
}
NFS = "net/sunrpc net/dns_resolver"
NVME = "drivers/nvme"
NFS_CONF = {
    **NETWORK_CONF,
    "etc/initramfs-tools/modules": "e1000\nnfs\nnfsv4\n",
    "etc/initramfs-tools/hooks/nfsmount": (SCRIPTS / "nfsmount-hook.sh").read_text(),
}
_IN_DRACUT = "dracut dracut-network iproute2"
NETWORK = {
    generator.name: generator
    for generator in (
        Generator("nbd", f"{INITRAMFS_TOOLS} nbd-client iproute2", NETWORK_CONF, modules=E1000),
        # Whose initramfs connects disks on the network.
        Generator("netroot", f"{INITRAMFS_TOOLS} open-iscsi iproute2", NETWORK_CONF, modules=E1000),
        Generator(
            "initramfs-tools-network", f"{INITRAMFS_TOOLS} iproute2", NETWORK_CONF, modules=E1000
        ),
        Generator("dracut-network", _IN_DRACUT, {DRACUT_FILE: DRACUT_CONF}, modules=E1000),
        Generator(
            "dracut-shell-network",
            f"{_IN_DRACUT} isc-dhcp-client",
            {DRACUT_FILE: f'{DRACUT_CONF}{WITHOUT_SYSTEMD}add_dracutmodules+=" network-legacy "\n'},
            modules=E1000,
        ),
        # That serves disks by NVMe over TCP and iSCSI, and whose initramfs connects them.
        Generator(
            "target",
            f"{INITRAMFS_TOOLS} iproute2",
            NETWORK_CONF,
            modules=f"{E1000} {NVME} drivers/target",
        ),
        Generator(
            "dracut-iscsi", f"{_IN_DRACUT} open-iscsi", {DRACUT_FILE: DRACUT_CONF}, modules=E1000
        ),
        Generator(
            "dracut-nvme",
            f"{_IN_DRACUT} nvme-cli jq",
            {DRACUT_FILE: DRACUT_CONF},
            modules=f"{E1000} {NVME}",
        ),
        # Whose root is on a server, too.
        Generator(
            "initramfs-tools-nfs",
            f"{INITRAMFS_TOOLS} iproute2 nfs-common",
            NFS_CONF,
            modules=f"{E1000} {NFS}",
        ),
        Generator(
            "dracut-nfs",
            f"{_IN_DRACUT} nfs-common",
            {DRACUT_FILE: DRACUT_CONF},
            modules=f"{E1000} {NFS}",
        ),
    )
}
"""Generators to be tried where there is a network."""
_LAPTOP = Generator("laptop", LAPTOP, LAPTOP_CONF, NVME)
KINDS = GENERATORS | SEALING | NETWORK | {"laptop": _LAPTOP}
"""What roots are made for: a generator to be tried, or a laptop."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A root with the package installed, its kernel and its generator, as an ext4 disk."""

    generator: str
    disk: Path
    kernel: Kernel
    listing: str = field(repr=False)
    """What lsinitramfs or lsinitrd prints of its initramfs."""


def installed(kind: str, suite: str, series: str, package: Path | None) -> Installed:
    """Return the root of a suite, of one of KINDS, in which dpkg installed the package, if any.

    Its kernel is the suite's newest of the series; see vm.suites and vm.kernels.
    """
    kernel = kernel_of(suite, series)
    base = _base(KINDS[kind], SUITES[suite], kernel.release)
    digest = _file_digest(package) if package else ""
    parts = [base.parent.name, digest, *(_file_digest(SCRIPTS / a) for a in AGENT)]

    def make(folder: Path) -> None:
        tree = _unpack(base, folder / "tree")
        if package:
            shutil.copy(package, tree / "root/package.deb")
            in_chroot(tree, "dpkg", "-i", *DPKG, "/root/package.deb")
            (tree / "root/package.deb").unlink()
        lister = "lsinitrd" if kind.startswith("dracut") else "lsinitramfs"
        listing = in_chroot(tree, lister, f"/boot/initrd.img-{kernel.release}")
        (folder / "listing").write_text(listing)
        make_disk(tree, folder / "root.img")
        shutil.rmtree(tree)

    home = kept("debian-roots", f"{kind}-{suite}-{series}-{text_digest(parts)}", make, ROOTS_KEPT)
    return Installed(kind, home / "root.img", kernel, (home / "listing").read_text())


def make_disk(tree: Path, image: Path) -> Path:
    """Make an ext4 disk of a root, with the agent that runs what the host asks for."""
    for name, place in AGENT.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SCRIPTS / name, tree / place)
    in_chroot(tree, "systemctl", "enable", "agent.service")
    blank_disk(image, ROOT_MIB)
    # Tables made now are not made in the background while the guest runs.
    extended = "lazy_itable_init=0,lazy_journal_init=0"
    run("mke2fs", "-q", "-t", "ext4", "-E", extended, "-d", tree, image)
    return image


def in_chroot(tree: Path, *command: str) -> str:
    """Run a command in a root and return what it printed; needs the rights of root."""
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return run(*apart, SCRIPTS / "chroot.sh", tree, *command)


def rebuild_initramfs(disk: Path, folder: Path, command: Sequence[str]) -> Path:
    """Run an initramfs generator in a copy of the root on a disk; return the folder it filled."""
    run("unshare", "--mount", SCRIPTS / "rebuild.sh", disk, folder, *command)
    return folder / "boot"


def copy_out(disk: Path, path: str, target: Path) -> Path:
    """Copy a file out of an ext4 disk that no machine uses, links followed within a folder."""
    said = run("debugfs", "-R", f"dump {path} {target}", disk)
    if not target.exists() or "File not found" in said:
        raise HostError(f"{disk} has no {path}: {said}")
    return target


def _base(generator: Generator, suite: Suite, release: str) -> Path:
    """Return the archive of a root with a generator and a kernel."""
    common = _common(suite)
    status = common.with_name("status")
    apt = apt_of(suite)
    packages = [f"linux-image-{release}", *generator.packages.split()]
    missing = apt.missing(status, *packages)
    modules = f"{DRIVERS} {generator.modules}"
    parts = [common.parent.name, missing, WITHOUT, modules, str(generator.configuration)]

    def make(folder: Path) -> None:
        tree = _unpack(common, folder / "tree")
        for name, text in generator.configuration.items():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_text(text)
            (tree / name).chmod(0o755 if text.startswith("#!") else 0o644)
        downloaded = apt.download_missing(status, tree / "debs", *packages)
        debs = [f"/debs/{deb.name}" for deb in downloaded]
        # apt has found all; dpkg does not put in order what Pre-Depends asks for.
        options = [*DPKG, "--force-depends", *_left_out("--", modules)]
        in_chroot(tree, "dpkg", "-i", *options, *debs)
        shutil.rmtree(tree / "debs")
        in_chroot(tree, "systemd-machine-id-setup")
        run("tar", "-C", tree, "-cf", folder / "root.tar", ".")
        shutil.rmtree(tree)

    name = f"{generator.name}-{suite.name}-{text_digest(parts)}"
    return kept("debian-bases", name, make, BASES_KEPT) / "root.tar"


def _common(suite: Suite) -> Path:
    """Return the archive of a root without a kernel; its dpkg's status lies beside it."""
    lines = sources(suite)
    setup = SCRIPTS / "setup.sh"
    packages = [*COMMON.split(), *suite.packages.split()]
    parts = [*lines, apt_of(suite).uris(*packages), setup.read_text()]

    def make(folder: Path) -> None:
        hooks = (
            f"copy-in {setup} /root",
            'chroot "$1" /bin/sh /root/setup.sh',
            'rm "$1/root/setup.sh"',
            f'download /var/lib/dpkg/status "{folder}/status"',
        )
        options = [f"--include={','.join(packages)}", *_left_out("--dpkgopt=", DRIVERS)]
        options += [f"--customize-hook={hook}" for hook in hooks]
        archive = folder / "root.tar"
        run("mmdebstrap", "--variant=essential", *options, suite.codename, archive, *lines)

    return kept("debian-bases", f"common-{suite.name}-{text_digest(parts)}", make) / "root.tar"


def _left_out(prefix: str, modules: str) -> list[str]:
    kept = [f"{prefix}path-include=*/lib/modules/*/kernel/{name}/*" for name in modules.split()]
    return [*(f"{prefix}path-exclude={pattern}" for pattern in WITHOUT.split()), *kept]


def _unpack(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    run("tar", "-C", folder, "-xf", archive)
    return folder


def text_digest(parts: Iterable[str]) -> str:
    """Return a short name for what depends on all of these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


BARE_KEPT = 6


def bare_root(suite: Suite, variant: str, packages: list[str]) -> Path:
    """Return the archive of a root: mmdebstrap's variant, with these packages.

    Raises HostError if it cannot be made; needs the rights of root.
    """
    lines = sources(suite)
    options = [f"--variant={variant}", f"--include={','.join(packages)}"]
    options.append('--aptopt=APT::Install-Recommends "false"')

    def make(folder: Path) -> None:
        run("mmdebstrap", *options, suite.codename, folder / "root.tar", *lines)

    digest = text_digest([variant, *lines, apt_of(suite).uris(*packages)])
    return kept("bare-roots", f"{variant}-{suite.name}-{digest}", make, BARE_KEPT) / "root.tar"
