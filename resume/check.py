"""Compares the image with the machine that would become it."""

from format.records import Identity
from resume.errors import OtherKernelError, OtherMemoryMapError


def check_identity(image: Identity, here: Identity) -> None:
    """Raise OtherKernelError or OtherMemoryMapError unless the image is of this machine."""
    if image.machine != here.machine:
        raise OtherKernelError(f"image is of a {image.machine} machine, this is {here.machine}")
    if image.kernel_release != here.kernel_release:
        raise OtherKernelError(
            f"image is of kernel {image.kernel_release}, this is {here.kernel_release}"
        )
    if image.kernel_version != here.kernel_version:
        raise OtherKernelError(
            f"image is of build {image.kernel_version!r} of kernel {image.kernel_release}, "
            f"this is {here.kernel_version!r}"
        )
    if image.ram_map_digest != here.ram_map_digest:
        raise OtherMemoryMapError("the firmware's memory map is not the one of the image")
