"""Guests without disks: kernel and initramfs come as if over the network, the root lies there."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from vm.host import run
from vm.lives import Guest, RootState
from vm.machine import Machine
from vm.nfs import NfsServer


@dataclass(slots=True)
class Diskless(Guest):
    """A guest whose root is elsewhere; `host` is the number of the one that it runs on."""

    host: int = 1

    def machine(self, log: Path) -> Machine:
        """Return the machine on that host."""
        made = Guest.machine(self, log)
        assert isinstance(made, Machine)
        return replace(made, disks=[], number=self.host)


@dataclass(slots=True)
class NfsRoot(Diskless):
    """One whose root is on an NFS server, which has its power cut when the guest is off."""

    server: NfsServer = field(init=False)

    def __post_init__(self) -> None:
        """Make the server, and have the guest check and mount no other root."""
        Diskless.__post_init__(self)
        self.server = NfsServer(self.folder, self.root)
        for command in ("rm /etc/fstab", "write /dev/null /etc/fstab"):
            run("debugfs", "-w", "-R", command, self.root)

    def machine(self, log: Path) -> Machine:
        """Return the machine; its server is on then."""
        made = Diskless.machine(self, log)
        self.server.start()
        return made

    def kill(self) -> None:
        """Cut the power of both; the root can be looked at then."""
        Diskless.kill(self)
        self.server.stop()

    def root_state(self) -> RootState:
        """Return nothing: the server mounts it, not the guest."""
        return RootState(0, "")
