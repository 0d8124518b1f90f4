"""Debian's archive: the lists of the host's own apt, or those of a suite that the host lacks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vm.host import HostError, cache, kept, run
from vm.suites import Suite

FOLDER = Path(__file__).resolve().parent
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LISTS_KEPT = 6


@dataclass(frozen=True, slots=True)
class Apt:
    """apt with these options; without any, as the host's administrator uses it."""

    options: tuple[str, ...] = ()

    def get(self, *words: str | Path, cwd: Path | None = None) -> str:
        """Run apt-get; raises HostError if it fails."""
        return run("apt-get", *self.options, "-q", "-y", *words, cwd=cwd)

    def names(self, prefix: str) -> set[str]:
        """Return the names of all packages that begin so."""
        return set(run("apt-cache", *self.options, "pkgnames", prefix).split())

    def uris(self, *packages: str) -> str:
        """Return where these packages would be downloaded from, with versions and digests."""
        return self.get("download", "--print-uris", *packages)

    def download(self, folder: Path, *packages: str) -> list[Path]:
        """Download these packages, without what they depend on, into a folder."""
        try:
            self.get("download", *packages, cwd=folder)
        except HostError as error:
            hint = f"apt-get update, and remove {cache('apt')}, if the lists are old"
            raise HostError(f"{error}\nhint: {hint}") from error
        return sorted(folder.glob("*.deb"))

    def missing(self, status: Path, *packages: str) -> str:
        """Return where all would be downloaded from that a root lacks to have these packages.

        `status` is the root's var/lib/dpkg/status.
        """
        return self.get(*_install(status), "--print-uris", *packages)

    def download_missing(self, status: Path, folder: Path, *packages: str) -> list[Path]:
        """Download all that a root lacks to have these packages into a new folder."""
        (folder / "partial").mkdir(parents=True)
        archives = ("-o", f"Dir::Cache::archives={folder}")
        self.get(*archives, *_install(status), "--download-only", *packages)
        return sorted(folder.glob("*.deb"))


HOST = Apt()


def apt_of(suite: Suite) -> Apt:
    """Return an apt with today's lists of a suite, which are fetched once a day.

    They lie in the cache. Of the host's apt, only the configuration (proxies and the like) is read,
    and nothing is changed. Raises HostError if they cannot be fetched.
    """

    def fetch(folder: Path) -> None:
        for name in ("state/lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "sources.list").write_text("\n".join([*sources(suite), ""]))
        apt_in(folder).get("update", "--error-on=any")

    today = f"{suite.name}-{datetime.now(tz=UTC):%Y-%m-%d}"
    return apt_in(kept("apt", today, fetch, LISTS_KEPT))


def apt_in(home: Path) -> Apt:
    """Return an apt that keeps its lists in this folder, and has its sources.list there."""
    places = {
        "Dir::State": home / "state",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": home / "cache",
        "Dir::Etc::sourcelist": home / "sources.list",
        "Dir::Etc::preferences": FOLDER / "apt.preferences",
    }
    options = [word for name, place in places.items() for word in ("-o", f"{name}={place}")]
    return Apt(("-c", str(FOLDER / "apt.conf"), *options))


def sources(suite: Suite) -> list[str]:
    """Return apt's lines for a suite, on the mirror from which the host has Debian.

    Only Packages are asked for. On a mirror that lags behind, the Release file of a rolling suite
    may have expired; its signature is checked all the same.
    """
    form = "$(ORIGIN)|$(RELEASE)|$(REPO_URI)"
    listed = HOST.get("indextargets", "--format", form, "Created-By: Packages")
    lines = [line.split("|") for line in listed.splitlines() if line.startswith("Debian|")]
    # The addresses of the two archives that the host has.
    mirrors = {_kind(release): uri for _, release, uri in reversed(lines)}
    if "main" not in mirrors:
        raise HostError("this system has no package lists of Debian\nhint: apt-get update")
    options = f"signed-by={KEYRING} check-valid-until=no target=Packages"
    return [
        f"deb [{options}] {mirrors[kind]} {release} main"
        for release in suite.releases.split()
        if (kind := _kind(release)) in mirrors
    ]


def _kind(release: str) -> str:
    """Return which of the two archives has a release."""
    return "security" if release.endswith("-security") else "main"


def _install(status: Path) -> tuple[str, ...]:
    return ("-o", f"Dir::State::status={status}", "install", "--no-install-recommends")
