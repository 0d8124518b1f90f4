"""What was asked for."""

from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import UUID, uuid4

from errors import KernelRefusedError
from format.codec import DEFAULT
from hibernate.power_off import Mode, default_mode
from linux import power, stall
from state.conf import ON, Conf

if TYPE_CHECKING:
    from seal.sender import Sender


class Plan(NamedTuple):
    """One hibernation."""

    store: str
    """Path of the store."""
    mode: Mode
    image_uuid: UUID
    """Of the image that this makes; a second attempt makes another."""
    image_size: int | None = None
    """Bytes that the snapshot should not exceed; None leaves it to the kernel."""
    helpers: tuple[str, ...] = ()
    """Names of processes that run until the disks are synced, besides the known ones."""
    verify: bool = False
    """Whether to read the image back before it is marked."""
    codec: str = DEFAULT
    """One of format.codec.NAMES."""
    stall_timeout: float = stall.LIMIT
    """Seconds without progress after which a frozen machine goes on, or restarts."""
    working_set: str = ON
    """One of state.conf.WORKING_SETS."""
    sleep_hooks: bool = False
    """Whether to run systemd's hooks before and after."""
    unguarded: tuple[str, ...] = ()
    """Types of file systems that may be mounted writable though the guard sees a sample only."""
    is_found: bool = False
    """Whether the next boot looks in the store."""
    sender: "Sender | None" = None
    """Who seals the image; None for one in the clear."""

    @classmethod
    def of(cls, store: str, conf: Conf) -> Self:
        """Return a plan for `store`."""
        return cls(
            store,
            Mode(conf.mode) if conf.mode else default_mode(),
            uuid4(),
            conf.image_size,
            conf.helpers,
            codec=conf.codec or DEFAULT,
            stall_timeout=conf.stall_timeout or stall.LIMIT,
            working_set=conf.working_set or ON,
            unguarded=conf.unguarded,
        )

    def largest_image(self) -> int:
        """Return the bytes that the snapshot should not exceed."""
        return largest_image(self.image_size)


def largest_image(image_size: int | None) -> int:
    """Return the bytes that a snapshot should not exceed; None is what the kernel prefers.

    Raises KernelRefusedError where the kernel does not say: one without hibernation.
    """
    if image_size is not None:
        return image_size
    try:
        return power.preferred_image_size()
    except FileNotFoundError as error:
        raise KernelRefusedError(
            f"this kernel has no hibernation: there is no {error.filename}",
            "boot a kernel with CONFIG_HIBERNATION and CONFIG_HIBERNATION_SNAPSHOT_DEV",
        ) from error
