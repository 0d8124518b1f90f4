"""What most guests go through: a boot of what enable had made, a sound doctor, a hibernation."""

from vm.lives import Guest


def boot_rebuilt(guest: Guest) -> None:
    """Switch off, and boot the initramfs that the host has made meanwhile."""
    guest.power_off()
    guest.take_rebuilt()
    guest.boot()


def see_doctor_content(guest: Guest) -> str:
    """See that doctor finds nothing to mend; return what it says."""
    sound = guest.run("torpor doctor").output
    levels = {line.split()[0] for line in sound.splitlines()}
    assert levels == {"ok"}, sound
    return sound


def hibernate_and_resume(guest: Guest, type_late: str = "") -> None:
    """It is the same life, the root was not mounted meanwhile, and torpor says so, too."""
    guest.hibernate()
    guest.resume(type_late)
    assert guest.same_life(), guest.console
    said = guest.run("torpor status").output
    assert "resumed" in said, said
