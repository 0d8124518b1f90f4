"""Chooses how QEMU runs the guest's instructions: KVM where it works, else emulation."""

import hashlib
import subprocess
from pathlib import Path

from vm.host import cache, run
from vm.kernels import Kernel

QEMU = "qemu-system-x86_64"
PROBE_SECONDS = 8.0

KVM = ("-accel", "kvm", "-cpu", "host")
# qemu64 keeps glibc off the AVX copy loops, which are slow to emulate. With rdrand the kernel has
# its randomness before there is a second processor: patching its code for that (crng_is_ready)
# while both ask for random bytes has left both in an endless loop, emulated.
EMULATION = ("-accel", "tcg,thread=multi", "-cpu", "qemu64,+rdrand")
# AES by instructions is six times as fast as by tables, emulated: 15 MB/s. libsodium has AEGIS by
# them where there is AVX, too; with avx and xsave alone 6.1 hangs where it looks for a Spectre.
_AES = "+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+xsave,+xsaveopt,+xgetbv1,+avx"
EMULATION_WITH_AES = (*EMULATION[:-1], f"{EMULATION[-1]},{_AES}")


def accelerator(kernel: Kernel, emulation: tuple[str, ...] = EMULATION) -> tuple[str, ...]:
    """Return QEMU's options for the fastest way to run machines here: KVM, or this emulation.

    /dev/kvm may exist and never get past the BIOS (nested machines), so this kernel is booted
    once under it, with a time limit. The verdict holds until the host boots again.
    """
    if not Path("/dev/kvm").exists():
        return emulation
    boot = Path("/proc/sys/kernel/random/boot_id").read_text()
    about = f"{run(QEMU, '--version')}\n{boot}"
    verdict = cache("kvm") / hashlib.sha256(about.encode()).hexdigest()[:32]
    if not verdict.exists():
        verdict.write_text("works\n" if _kvm_boots(kernel) else "hangs\n")
    return KVM if verdict.read_text() == "works\n" else emulation


def _kvm_boots(kernel: Kernel) -> bool:
    """Boot without a root: a machine that works panics at once, and so ends QEMU."""
    command = [QEMU, *KVM, "-nodefaults", "-display", "none", "-no-reboot", "-m", "256"]
    command += ["-serial", "stdio", "-kernel", str(kernel.vmlinuz)]
    command += ["-append", "console=ttyS0 panic=-1"]
    try:
        done = subprocess.run(
            command,
            timeout=PROBE_SECONDS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return b"Kernel panic" in done.stdout
