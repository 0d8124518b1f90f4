"""Checks that the initramfs holds the resumer, of this version, and runs it at the right time."""

import re
from collections.abc import Iterator

from initramfs.archive.initramfs import fingerprint
from initramfs.generators.find import generator_of
from initramfs.generators.generator import Fault
from linux.installation import machine_id, parse_machine_id
from s3.scheme import is_server
from state.location import MACHINE_ID
from state.location import PATH as LOCATION
from state.sealing import PATH as SEALING
from state.server import PATH as SERVER
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, of_fault, ok, problem, warning

NEEDS = "/usr/lib/torpor/resume.needs"
SEALING_NEEDS = "/usr/lib/torpor/resume-sealing.needs"
SERVER_NEEDS = "/usr/lib/torpor/resume-server.needs"
RESUMER = "/usr/lib/torpor/resume/torpor-resume"
_OURS = "/usr/lib/torpor/"
_TPM_NEEDS = ("/usr/bin/tpm2", "libtss2-tcti-device.so.0")
_GPU = ("i915", "xe", "amdgpu", "radeon", "nouveau", "nvidia", "nvidia-current")


def generator(facts: Facts) -> Iterator[Finding]:
    """See that there is one for `torpor enable` to run; after that what it made counts."""
    if not facts.is_enabled:
        yield ok(f"the initramfs is made by {generator_of(facts.root).name}")


def resumer(facts: Facts) -> Finding:
    """See that all that the resumer needs is in the initramfs."""
    needs = _needs(facts)
    if not needs:
        return problem(f"Torpor is not installed: there is no {NEEDS}", "install it again")
    initramfs, path = facts.initramfs, facts.initramfs_path
    if RESUMER not in initramfs:
        unknown = Fault(f"{path} does not hold the resumer")
        fault = facts.generator.lacking(facts.boot) if facts.generator else unknown
        return of_fault(fault, facts.again)
    names = {name.rpartition("/")[2] for name in initramfs.entries}
    missing = [
        need
        for need in needs
        if need not in initramfs
        # Generators put a library where the loader's own search finds it.
        and (need.startswith(_OURS) or need.rpartition("/")[2] not in names)
    ]
    if missing:
        more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        return problem(
            f"{path} lacks {missing[0]}{more}, which the resumer needs", facts.again, facts.anew
        )
    return ok(f"{path} holds the resumer and the {len(needs)} files that it needs")


def _needs(facts: Facts) -> list[str]:
    """Return the files that the hooks put there for this machine's resumer, [] without Torpor."""
    needs = (facts.root.text(NEEDS) or "").split()
    sealing = facts.root.text(SEALING)
    if sealing is not None:
        needs += (facts.root.text(SEALING_NEEDS) or "").split()
    if "tpm2=yes" in (sealing or "").splitlines():
        needs += _TPM_NEEDS
    location = facts.settings.location
    if location and is_server(location.resume):
        needs += (facts.root.text(SERVER_NEEDS) or "").split()
    return needs


def version(facts: Facts) -> Iterator[Finding]:
    """Compare the resumer in the initramfs with the installed one."""
    initramfs = facts.initramfs
    paths = [path for path in _needs(facts) if path.startswith(_OURS)]
    other = []
    for path in paths:
        kept = initramfs.contents(path)
        data = None if kept is None else facts.root.data(path)
        if data is not None and fingerprint(data) != kept:
            other.append(path)
    if other:
        yield problem(
            f"{facts.initramfs_path} holds another version of {other[0]}", facts.again, facts.anew
        )
    elif RESUMER in initramfs:
        yield ok("the resumer in it is the installed one")


def kept(facts: Facts) -> Iterator[Finding]:
    """Compare its copies of what `torpor enable` wrote for a boot with the machine's."""
    for path, gone in ((LOCATION, warning), (SEALING, problem), (SERVER, problem)):
        here, there = facts.root.text(path), facts.initramfs.text(path)
        if here == there:
            if here is not None:
                yield ok(f"{path} in it is the current one")
        elif there is None:
            yield problem(f"{facts.initramfs_path} does not hold {path}", facts.again)
        elif here is None:
            message = f"{facts.initramfs_path} holds a {path} that is gone here"
            yield gone(message, facts.again, facts.anew)
        else:
            yield problem(f"{facts.initramfs_path} holds an older {path}", facts.again)


def installation(facts: Facts) -> Iterator[Finding]:
    """Compare the machine id that the hook put there with the machine's: whose images it takes."""
    if RESUMER not in facts.initramfs:
        return
    here = machine_id(facts.root)
    if not here:
        yield warning(
            "this system has no machine id (/etc/machine-id): a boot does not know whose image it "
            "finds, restores only what is named, and discards none",
            f"run systemd-machine-id-setup; then {facts.again}",
        )
    elif here != parse_machine_id(facts.initramfs.text(MACHINE_ID) or ""):
        yield problem(
            f"{facts.initramfs_path} does not hold this system's machine id: its images are "
            "another's to a boot",
            facts.again,
            facts.anew,
        )


def order(facts: Facts) -> Iterator[Finding]:
    """See that the initramfs runs us, in front of the stock resume."""
    maker, is_there = facts.maker, RESUMER in facts.initramfs
    if maker is None:
        if not is_there:
            return
        yield warning(
            f"{facts.initramfs_path} was made by a generator that torpor doctor does not know",
            f"see that it runs {RESUMER} before the root is mounted",
        )
        return
    faults = list(maker.order(facts.boot) if is_there else maker.amiss(facts.boot))
    yield from (of_fault(fault, facts.again) for fault in faults)
    if is_there and not faults:
        yield ok("the initramfs runs it before the stock resume")


def gpu(facts: Facts) -> Finding:
    """Warn of graphics drivers that run in both the kernel that loads and the one restored."""
    pattern = re.compile(r"lib/modules/.*/([\w-]+)\.ko(\.\w+)?$")
    names = {
        found[1] for name in facts.initramfs.entries if (found := pattern.search(name)) is not None
    }
    loaded = [name for name in _GPU if name in names and facts.root.exists(_module_of(name))]
    if loaded:
        return warning(
            f"{facts.initramfs_path} holds the graphics driver {', '.join(loaded)}: some machines "
            "hang or stay dark after a resume",
            "if yours does: leave it out of the initramfs (early KMS), or boot with nomodeset once",
        )
    return ok("no graphics driver runs in the initramfs")


def _module_of(name: str) -> str:
    return f"/sys/module/{name.partition('-')[0]}"
