"""What came out when somebody with the disk and the source tried to get around the seal."""

from errors import NoSpaceError
from hibernate.attempts import try_twice
from hibernate.plan import Plan
from seal import recipients
from seal.recipients import ToTpm
from seal.sender import Sender
from seal.slots import Keys, new_tpm_slot
from seal.tpm import Tpm
from tests.unit.fake_machine import FakeMachine
from tests.unit.sealing import SEED
from tests.unit.soft_tpm import SoftTpm
from tests.unit.test_command_hibernate import PLAN
from tests.unit.test_doctor_faults import stock_first
from tests.unit.test_doctor_sealing import seal as sealing
from tests.unit.test_sealed_by_tpm import soft
from tests.unit.test_secrecy import LUKS
from torpor.doctor.finding import Finding, Level

__all__ = ["soft"]


def test_the_stock_resume_comes_first(fake: FakeMachine) -> None:
    """It has the kernel restore an image of its own, which anybody can make."""
    sealing(fake)
    stock_first(fake)
    (message,) = (each.message for each in fake.bad() if "stock resume" in each.message)
    assert "restores an image of the kernel's own, whoever made it" in message


def test_what_is_swapped_out_is_not_sealed(fake: FakeMachine) -> None:
    """Who changes it in plain swap changes programs of a machine that resumes."""
    sealing(fake)
    assert not of_swap(fake), "the root is plain, too"
    fake.home("home_crypt", LUKS)
    (finding,) = of_swap(fake)
    assert finding.level == Level.WARNING
    assert finding.message.startswith("images are sealed, and the swap /dev/sda2 is not encrypted")
    fake.mapped("swap_crypt", LUKS)
    assert not of_swap(fake)


def of_swap(fake: FakeMachine) -> list[Finding]:
    return [one for one in fake.examine() if one.message.startswith("images are sealed, and")]


def test_two_attempts_never_wrap_two_keys_alike(soft: SoftTpm) -> None:
    """Where the first image did not fit, both superblocks are on the disk.

    One key and nonce for both would give away what the two secrets differ by.
    """
    tpm = Tpm(soft.tcti)
    counter = tpm.new_counter()
    locked, secrets, counted = [], [], []

    def attempt(plan: Plan) -> None:
        assert plan.sender
        made = plan.sender.sealing(plan.image_uuid)
        (one,) = recipients.parse(made.seal.recipients)
        assert isinstance(one, ToTpm)
        locked.append(one.locked[:32])
        secrets.append(bytes(made.key.secret))
        counted.append(made.seal.counter)
        if len(locked) == 1:
            raise NoSpaceError("no room left")

    sender = Sender(SEED, Keys({"tpm2": new_tpm_slot(tpm)}, counter), tpm)
    try_twice(PLAN._replace(sender=sender), attempt, print)
    differ = [bytes(a ^ b for a, b in zip(*pair, strict=True)) for pair in (locked, secrets)]
    assert differ[0] != differ[1]
    assert counted[1] == tpm.read_counter(counter)
