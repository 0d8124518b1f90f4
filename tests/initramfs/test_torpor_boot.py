"""torpor-boot: what it waits for, how long, and when it starts the resumer, in four shells."""

import time
from pathlib import Path

import pytest

from tests.initramfs.boot import RELEASE, SHELLS, Boot

UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
BY_UUID = f"/dev/disk/by-uuid/{UUID}"
START = ["--no-wait"]


@pytest.fixture(params=SHELLS)
def boot(tmp_path: Path, request: pytest.FixtureRequest) -> Boot:
    return Boot(tmp_path, request.param)


def test_an_ordinary_boot_starts_nothing_and_says_nothing(boot: Boot) -> None:
    boot.command_line(f"quiet resume=UUID={UUID}")
    boot.device(BY_UUID, "swap")
    assert boot.run() == 0
    assert (boot.started, boot.said, boot.passed) == ([], "", 0)


@pytest.mark.parametrize(
    ("page", "starts"),
    [("mark", True), ("kernel", True), ("store", False), ("swap", False), ("zeros", False)],
)
def test_the_resumer_starts_for_an_image_only(boot: Boot, page: str, starts: bool) -> None:
    boot.command_line("resume=/dev/vdb")
    boot.device("/dev/vdb", page)
    assert boot.run() == 0
    assert boot.started == (START if starts else [])
    assert boot.said == ""


@pytest.mark.parametrize(
    ("named", "node"),
    [
        (f"UUID={UUID}", BY_UUID),
        (f"UUID={UUID.upper()}", BY_UUID),
        (f'"UUID={UUID}"', BY_UUID),
        ("PARTUUID=12AB-01", "/dev/disk/by-partuuid/12ab-01"),
        ("LABEL=swap/a&b", r"/dev/disk/by-label/swap\x2fa\x26b"),
        ("LABEL=größe", "/dev/disk/by-label/größe"),
        ("PARTLABEL=a.b", "/dev/disk/by-partlabel/a.b"),
        ("/dev/mapper/vg-swap--1", "/dev/mapper/vg-swap--1"),
        ("254:3", "/dev/dm-3"),
    ],
)
def test_every_form_of_resume(boot: Boot, named: str, node: str) -> None:
    boot.command_line(f"root=/dev/vda resume=/dev/other ro resume={named} quiet")
    boot.device(node, "mark")
    boot.number("254:3", "dm-3")
    assert boot.run() == 0
    assert (boot.started, boot.passed) == (START, 0)


def test_the_page_at_an_offset(boot: Boot) -> None:
    """Far into a large device, which not every dd can seek to in one step."""
    far = (48 << 30) // 4096 + 77
    boot.command_line(f"resume=/dev/vda2 resume_offset={far}")
    boot.device("/dev/vda2", "swap", {far: "mark"})
    begun = time.monotonic()
    assert boot.run() == 0
    assert boot.started == START
    assert time.monotonic() - begun < 10
    boot.device("/dev/vda2", "mark", {far: "swap"})
    assert boot.run() == 0
    assert boot.started == START


@pytest.mark.parametrize("offset", ["", "-1", "08", "7x", "$(reboot)"])
def test_an_offset_that_is_no_number_is_none(boot: Boot, offset: str) -> None:
    boot.command_line(f"resume=/dev/vda resume_offset={offset}")
    boot.device("/dev/vda", "mark", {8: "mark"})
    assert boot.run() == 0
    assert boot.started == START


def test_the_location_counts_where_the_command_line_names_nothing(boot: Boot) -> None:
    boot.location(f"# Written\nresume=UUID={UUID}\nresume_offset=5\nmachine_id=00\n")
    boot.device(BY_UUID, "swap", {5: "mark"})
    boot.device("/dev/vdb", "swap", {5: "swap"})
    boot.command_line("resume_offset=9")
    assert boot.run() == 0
    assert boot.started == START
    boot.command_line("resume=/dev/vdb resume_offset=5")
    assert boot.run() == 0
    assert boot.started == START


def test_without_an_image_at_the_location_others_count(boot: Boot) -> None:
    boot.location(f"resume=UUID={UUID}\n")
    boot.device(BY_UUID, "swap")
    boot.device("/dev/sdc", "mark")
    assert boot.run() == 0
    assert boot.started == []
    boot.number("8:32", "sdc", "swsuspend")
    boot.command_line(f"resume=UUID={UUID}")
    assert boot.run() == 0
    assert boot.started == []
    boot.command_line("quiet")
    assert boot.run() == 0
    assert boot.started == START


def test_without_a_name_every_image_udev_knows_counts(boot: Boot) -> None:
    boot.device("/dev/sda", "swap")
    boot.device("/dev/sdb", "store")
    boot.number("8:0", "sda", "ext4")
    boot.number("8:16", "sdb", "swsuspend")
    assert boot.run() == 0
    assert boot.started == []
    boot.device("/dev/sdc", "mark")
    boot.number("8:32", "sdc", "swsuspend")
    assert boot.run() == 0
    assert (boot.started, boot.passed) == (START, 0)
    assert "udevadm settle --timeout=10" in (boot.root / "said").read_text()


def test_without_udev_blkid_knows(boot: Boot) -> None:
    for path in sorted((boot.root / "run/udev").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    boot.device("/dev/sdc", "mark")
    (boot.root / "blkid").write_text("/dev/sdc\n")
    assert boot.run() == 0
    boot.command_line("resume=LABEL=x")
    assert boot.run() == 0
    assert boot.started == START * 2


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("", 10),
        ("torpor.timeout=3", 3),
        ("torpor.timeout=0", 0),
        ("torpor.timeout=08", 8),
        ("torpor.timeout=soon", 10),
        ("resumewait", 300),
        ("resumewait torpor.timeout=20", 20),
        ("resumedelay=4", 14),
    ],
)
def test_a_device_that_never_comes(boot: Boot, words: str, seconds: int) -> None:
    boot.command_line(f"resume=UUID={UUID} {words}")
    assert boot.run() == 1
    assert boot.passed == seconds
    assert boot.started == START, "the resumer says why"
    assert f"waiting up to {seconds} s for UUID={UUID}" in boot.said


def test_a_device_that_comes_late(boot: Boot) -> None:
    boot.command_line("resume=/dev/sdb")
    boot.device("/dev/hidden", "mark")
    boot.at(7, 'mv "$R/dev/hidden" "$R/dev/sdb"')
    assert boot.run() == 0
    assert (boot.started, boot.passed) == (START, 7)


def test_a_delay_passes_even_if_the_device_is_there(boot: Boot) -> None:
    boot.command_line("resume=/dev/sdb resumedelay=6")
    boot.device("/dev/sdb", "mark")
    assert boot.run() == 0
    assert (boot.started, boot.passed) == (START, 6)


@pytest.mark.parametrize("comm", ["systemd-cryptse", "cryptsetup", None])
def test_asking_for_a_passphrase_does_not_count(boot: Boot, comm: str | None) -> None:
    boot.command_line("resume=/dev/mapper/swap")
    boot.device("/dev/hidden", "mark")
    sign = "proc/77/comm" if comm else "run/systemd/ask-password/ask.x1"
    boot.at(2, f'mkdir -p "$R/{sign.rpartition("/")[0]}"; echo {comm} >"$R/{sign}"')
    boot.at(60, f'rm "$R/{sign}"')
    boot.at(64, 'mkdir "$R/dev/mapper"; mv "$R/dev/hidden" "$R/dev/mapper/swap"')
    assert boot.run() == 0
    assert (boot.started, boot.passed) == (START, 64)


def test_nobody_types_for_more_than_an_hour(boot: Boot) -> None:
    """A question that nobody takes back does not hold up the boot for ever."""
    boot.command_line("resume=/dev/mapper/swap")
    boot.at(2, 'mkdir -p "$R/run/systemd/ask-password"; : >"$R/run/systemd/ask-password/ask.x1"')
    boot.at(30, 'echo 3598.00 0 >"$R/proc/uptime"')
    assert boot.run() == 1
    assert 3605 <= boot.began + boot.passed <= 3615


def test_a_wrong_passphrase_ends_the_wait(boot: Boot) -> None:
    boot.command_line("resume=/dev/mapper/swap")
    boot.at(2, 'mkdir "$R/proc/77"; echo cryptsetup >"$R/proc/77/comm"')
    boot.at(60, 'rm -r "$R/proc/77"')
    assert boot.run() == 1
    assert 66 <= boot.passed <= 70


def test_the_command_runs_while_it_waits(boot: Boot) -> None:
    boot.command_line("resume=/dev/mapper/swap")
    command = boot.root / "tools/block"
    command.write_text('#!/bin/sh\necho "$*" >>"$TORPOR_ROOT/called"\n')
    command.chmod(0o755)
    assert boot.run("block", "all") == 1
    called = (boot.root / "called").read_text().splitlines()
    assert called == ["all /dev/mapper/swap"] * 10


def test_the_command_is_not_called_for_ever(boot: Boot) -> None:
    """mdadm starts incomplete arrays at its 20th call, cryptroot gives up the boot at its 45th."""
    boot.command_line("resume=/dev/mapper/swap resumewait")
    command = boot.root / "tools/block"
    command.write_text('#!/bin/sh\necho >>"$TORPOR_ROOT/called"\n')
    command.chmod(0o755)
    assert boot.run("block") == 1
    assert len((boot.root / "called").read_text()) == 15


def test_a_command_that_blocks_does_not_use_up_the_time(boot: Boot) -> None:
    """cryptroot asks for a passphrase in it: here for a minute, then the device is there."""
    boot.command_line("resume=/dev/sdb")
    boot.device("/dev/hidden", "mark")
    command = boot.root / "tools/block"
    command.write_text(
        "#!/bin/sh\n"
        'cd "$TORPOR_ROOT"; [ -e asked ] || echo 160.00 0 >proc/uptime; : >asked\n'
        "[ ! -e dev/udev-made-the-link ] || exec mv dev/hidden dev/sdb\n"
    )
    command.chmod(0o755)
    (boot.root / "tools/mv").symlink_to("/bin/mv")
    boot.at(62, ': >"$R/dev/udev-made-the-link"')
    assert boot.run("block") == 0
    assert boot.started == START
    assert boot.passed >= 62


def test_ready_tells_a_loop_when_to_go_on(boot: Boot) -> None:
    boot.command_line("resume=/dev/sdb torpor.timeout=5")
    said = []
    for second in (0, 1, 90, 91, 92):
        boot.set_clock(boot.began + second)
        said.append(boot.run("--ready"))
    assert said == [1, 1, 1, 0, 0], "the loop stood still from 1 to 90: 3 of these seconds count"
    assert boot.started == []
    assert boot.run() == 1
    assert boot.started == START
    assert boot.passed == 92, "no more waiting"
    boot.device("/dev/sdb", "swap")
    assert boot.run("--ready") == 0


def test_ready_without_a_name(boot: Boot) -> None:
    assert boot.run("--ready") == 0
    asks = boot.root / "run/systemd/ask-password"
    asks.mkdir(parents=True)
    (asks / "ask.1").touch()
    assert boot.run("--ready") == 1


def test_init_s_words_are_not_ours(boot: Boot) -> None:
    boot.command_line("quiet -- resume=/dev/sdb")
    assert boot.run() == 0
    assert (boot.started, boot.passed) == ([], 0)


def efi(offset: object = 0, uuid: str = UUID, release: str = RELEASE) -> str:
    system = '"osReleaseId":"debian","osReleaseVersionId":"13"'
    return f'{{"uuid":"{uuid}","offset":{offset},"kernelVersion":"{release}",{system}}}'


@pytest.mark.parametrize("is_mounted", [True, False])
@pytest.mark.parametrize("page", ["mark", "kernel"])
def test_the_firmware_s_place_where_nothing_else_is_named(
    boot: Boot, page: str, *, is_mounted: bool
) -> None:
    boot.firmware(efi(5), is_mounted=is_mounted)
    boot.device(BY_UUID, "swap", {5: page})
    assert boot.run() == 0
    assert (boot.started, boot.passed, boot.said) == (START, 0, "")
    asked = boot.root / "said"
    assert ("mount -t efivarfs" in asked.read_text() if asked.exists() else False) != is_mounted


def test_the_firmware_s_place_is_waited_for_as_any(boot: Boot) -> None:
    boot.firmware(efi())
    assert boot.run() == 1
    assert (boot.passed, boot.started) == (10, START), "which takes the name away"


@pytest.mark.parametrize("named", ["resume=/dev/vdb", "location"])
def test_the_firmware_s_place_where_what_is_named_holds_nothing(boot: Boot, named: str) -> None:
    boot.firmware(efi(7))
    if named == "location":
        boot.location("resume=/dev/vdb\n")
    else:
        boot.command_line(named)
    boot.device("/dev/vdb", "store")
    assert boot.run() == 0
    assert (boot.started, boot.passed) == ([], 0), "nobody waits for it"
    boot.device(BY_UUID, "swap", {7: "swap"})
    assert boot.run() == 0
    assert boot.started == []
    boot.device(BY_UUID, "swap", {7: "kernel"})
    assert boot.run() == 0
    assert boot.started == START


@pytest.mark.parametrize(
    "text",
    [
        efi(release="6.1.0-other"),
        efi(uuid="$(reboot)"),
        efi(uuid=""),
        efi(uuid="../../sda"),
        "",
        "{",
        "x" * 4096,
        f'{{"kernelVersion":"{RELEASE}"}}',
    ],
)
def test_what_the_firmware_says_to_others_or_nobody(boot: Boot, text: str) -> None:
    boot.firmware(text)
    boot.device(BY_UUID, "mark")
    assert boot.run() == 0
    assert (boot.started, boot.passed, boot.said) == ([], 0, "")


@pytest.mark.parametrize("offset", ["-1", "7x", '"7"', "$(reboot)", "1" * 16])
def test_a_page_of_the_firmware_s_that_is_no_number_is_none(boot: Boot, offset: str) -> None:
    boot.firmware(efi(offset))
    boot.device(BY_UUID, "mark", {7: "mark"})
    assert boot.run() == 0
    assert boot.started == START


def test_efi_without_efivarfs(boot: Boot) -> None:
    """The module need not be in the initramfs."""
    boot.location(f"resume=UUID={UUID}\n")
    boot.device(BY_UUID, "swap")
    (boot.root / "sys/firmware/efi/efivars").mkdir(parents=True)
    assert boot.run() == 0
    assert (boot.started, boot.said) == ([], "")
