"""The arguments of torpor-resume: read without argparse, which takes 10 ms to import."""

from errors import UsageError

USAGE = """\
usage: torpor-resume [--wait] [--dry-run] [--cmdline TEXT] [--meanwhile COMMAND...]

Restores the hibernated machine that resume= on the kernel command line names. It is run in an
initramfs, before the root file system is mounted.

  --dry-run               do everything but restore, and change nothing
  --cmdline TEXT          take TEXT for the kernel command line (resume=FILE too)
  --wait                  only wait for the image's device, in the background: that is over when
                          /run/torpor/waited is there, or the process in /run/torpor/waiter gone
  --meanwhile COMMAND...  while waiting, run COMMAND once a second, with the device behind it
  --help                  show this

Exit codes are those of torpor(8)."""


class Arguments:
    """What was asked for."""

    def __init__(self, words: list[str]) -> None:
        """Raise UsageError."""
        self.help = self.dry_run = self.wait = False
        self.cmdline: str | None = None
        """Instead of the kernel command line."""
        self.meanwhile: list[str] = []
        rest = [*words]
        while rest:
            word = rest.pop(0)
            if word in ("--help", "-h"):
                self.help = True
            elif word == "--dry-run":
                self.dry_run = True
            elif word == "--wait":
                self.wait = True
            elif word == "--cmdline" and rest:
                self.cmdline = rest.pop(0)
            elif word == "--meanwhile" and rest:
                self.meanwhile, rest = rest, []
            else:
                raise UsageError(f"{word} is no argument, or lacks one", USAGE)
