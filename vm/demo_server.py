"""The demonstration with a server: a Debian machine hibernates to S3 and wakes up from there."""

import json
import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from vm.debian import installed
from vm.disks import ext4_complaints
from vm.host import BUILD, ROOT, HostError, run
from vm.lives import Guest, Life
from vm.networked import CREDENTIALS, bring_up, give_credentials, nothing_is_left, url_of
from vm.s3_server import S3Server
from vm.story import Story, mib
from vm.suites import SUITES, suites_from_here

FOLDER = BUILD / "demo-s3"
PREFIX = "demo"
TORPOR = BUILD / "torpor/torpor"
PASSPHRASE = "correct horse"
ASKS = "Passphrase of the hibernated session"
TYPED_AFTER = 2.0
LIMIT_SECONDS = 900.0
GENERATORS = {"12": "initramfs-tools-network", "13": "dracut-network"}
"""For each Debian system what makes its initramfs, one of vm.debian.NETWORK."""
_SEALED = 22
"""torpor's exit status for an image whose key it was not given."""


def demonstrate(story: Story, series: str | None) -> bool:
    """Run it with a kernel of this series; return whether all of it held.

    Raises HostError, MachineError, GuestError.
    """
    suite, series = _system(series)
    shutil.rmtree(FOLDER, ignore_errors=True)
    with ExitStack() as ending:
        with story.part("prepare", f"Preparing an S3 server and Debian {suite} without swap"):
            server = ending.enter_context(S3Server(FOLDER / "server"))
            guest = ending.enter_context(_machine(suite, series))
            story.say(f"SeaweedFS at {server.url()}, {GENERATORS[suite]}, Linux {series}")
        url = url_of(server, PREFIX)
        with story.part("enable", f"First life: torpor enable --store {url}"):
            _enable(story, guest, server, url)
        with story.part("hibernate", "systemctl hibernate"):
            before = guest.life()
            guest.hibernate()
            _tell(story, before)
        with story.part("verify", "It is off. On this host: torpor list, torpor verify"):
            stored = _look(story, server)
        with story.part("resume", "Second life: power on"):
            guest.resume(PASSPHRASE, ASKS, TYPED_AFTER)
            after = guest.life()
            _tell(story, after)
        with story.part("check", "What has to hold:"):
            found = _outcome(guest, before, after, url)
            found["server_empty"] = _stored(server)["state"] == "empty"
            held = story.judge(_verdicts(found))
        facts = {"stored_bytes": stored, "suite": suite, "kernel": guest.installed.kernel.release}
        story.report(FOLDER / "report.json", found | facts)
        return held


def _system(series: str | None) -> tuple[str, str]:
    """Return the Debian system that has a kernel of this series, the newest without one."""
    there = [suite for suite in suites_from_here() if suite.name in GENERATORS]
    if series is None and there:
        return there[-1].name, there[-1].series[0]
    for suite in there:
        if series in suite.series:
            return suite.name, series
    offered = {each for name in GENERATORS for each in SUITES[name].series}
    raise HostError(f"a machine with a server has one of these kernels: {', '.join(offered)}")


def _machine(suite: str, series: str) -> Guest:
    run(sys.executable, "-m", "package", cwd=ROOT)
    (package,) = (BUILD / "package").glob("torpor_*_amd64.deb")
    root = installed(GENERATORS[suite], suite, series, package)
    return Guest(
        root, FOLDER / "machine", append="torpor.timeout=60", limit=LIMIT_SECONDS, network=True
    )


def _enable(story: Story, guest: Guest, server: S3Server, url: str) -> None:
    guest.boot()
    bring_up(guest)
    give_credentials(guest, server)
    guest.rebuild_outside()
    enable = f"torpor enable --store {url} --credentials {CREDENTIALS} --seal passphrase"
    story.say(guest.run(f"printf '{PASSPHRASE}\\n' | {enable}").output)
    guest.boot_rebuilt()
    guest.run("systemctl is-system-running --wait", check=False)
    bring_up(guest)


def _look(story: Story, server: S3Server) -> int:
    """See from here what the server has, which cannot be read without the key; return its bytes."""
    above = server.url(PREFIX)
    story.say(run(*_torpor(server), "list", above))
    image = f"{above}/{_stored(server)['machine_id']}"
    fails_as_sealed = ("sh", "-c", f'"$@"; [ $? = {_SEALED} ]', "sh")
    story.say(run(*fails_as_sealed, *_torpor(server), "verify", image))
    stored: int = json.loads(run(*_torpor(server), "inspect", "--json", image))["stored_bytes"]
    story.say(f"{mib(stored)} on the server")
    return stored


def _stored(server: S3Server) -> dict[str, str]:
    """Return what the server says of the one machine that has a store there."""
    said = run(*_torpor(server), "list", "--json", server.url(PREFIX))
    (machine,) = json.loads(said)
    return {"machine_id": machine["machine_id"], "state": machine["state"]}


def _torpor(server: S3Server) -> tuple[str | Path, ...]:
    """Return the words that run Torpor here with the server's credentials."""
    keys = FOLDER / "keys"
    if not keys.exists():
        keys.touch(0o600)
        keys.write_text(f"access_key={server.access_key}\nsecret_key={server.secret_key}\n")
    return "env", f"TORPOR_CREDENTIALS={keys}", TORPOR


def _tell(story: Story, life: Life) -> None:
    story.say(f"a process holds the random number {life.nonce} in its memory")
    story.say(f"and has counted to {life.counter}; boot id {life.boot_id}")


def _outcome(guest: Guest, before: Life, after: Life, url: str) -> dict[str, object]:
    """Return what the demonstration found, as report.json has it."""
    resumed = guest.same_life() and "resumed" in guest.run("torpor status").output
    nothing_is_left(guest, url)
    guest.power_off()
    return {
        "resumed": resumed,
        "boot_id_same": before.boot_id == after.boot_id,
        "nonce_same": before.nonce == after.nonce,
        "data_same": before.data == after.data,
        "counter_before": before.counter,
        "counter_after": after.counter,
        "fs_clean": not ext4_complaints(guest.root),
    }


def _verdicts(found: dict[str, object]) -> list[tuple[bool, str]]:
    before, after = found["counter_before"], found["counter_after"]
    return [
        (bool(found["resumed"]), "it resumed before its root was mounted, and says so"),
        (bool(found["boot_id_same"]), "the same boot id: the kernel is the one that hibernated"),
        (bool(found["nonce_same"]), "the same random number, which no disk ever held as a file"),
        (bool(found["data_same"]), "the same files in memory"),
        (str(after) != str(before), f"the count went on from {before} to {after}"),
        (bool(found["server_empty"]), "nothing is left on the server"),
        (bool(found["fs_clean"]), "e2fsck -fn finds the root file system clean"),
    ]
