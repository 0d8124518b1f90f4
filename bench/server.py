"""A store on a server: a save and a load beside what curl moves, and the memory that they take.

The server is SeaweedFS, on the loopback and in memory, made anew for each round. curl has as many
connections, and moves the objects that a save has stored. What it would take for a stream that it
moves as it is, follows from that: it packs nothing, and its speed is the same for all bytes.
"""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from py_compile import compile as compile_file

from bench.figure import Bar, Figure, print_table
from bench.measure import (
    Job,
    Rounds,
    Run,
    median_cpu,
    median_seconds,
    on_processors,
    peak_mib,
    run_command,
    run_measured,
)
from bench.stream import MIB, STREAM_MIB, real_stream
from s3.client import Client
from s3.credentials import Credentials
from s3.listing import Listed
from s3.url import ServerUrl
from state.server import VARIABLE
from store.server import parts
from store.server.head import KEY, new_head
from vm.certificates import Authority, Certificate
from vm.host import BUILD, ROOT, run
from vm.s3_server import BUCKET, HOST, S3Server

ROUNDS = 5
MACHINE = "0123456789abcdef0123456789abcdef"
TLS_MIB = 256
"""Of stream: more than all buffers hold."""

SAVE, LOAD, CURL = "save", "load", "curl, "

SPEED_BAR = Bar(0.8, None, at_least=True)
"""Of what curl moves in a second."""
MEMORY_BAR = Bar(96, None)


@dataclass(frozen=True, slots=True)
class Programs:
    """The frozen programs that transfer, and the key that they seal for."""

    save: Path
    load: Path
    identity: Path
    recipient: str

    @classmethod
    def in_folder(cls, folder: Path) -> "Programs":
        """Copy them there, and make a key."""
        save, load, identity = folder / "torpor", folder / "torpor-resume", folder / "identity"
        for program, package in ((save, "torpor"), (load, "resume")):
            shutil.copytree(BUILD / program.name, program, symlinks=True)
            inside = program / "_internal"
            compile_file(
                str(ROOT / "bench/transfer.py"),
                str(inside / package / "__main__.pyc"),
                doraise=True,
            )
            compile_file(
                str(ROOT / "seal/identity.py"), str(inside / "seal/identity.pyc"), doraise=True
            )
        recipient = run(BUILD / "torpor/torpor", "key", "generate", identity).strip()
        return cls(save / save.name, load / load.name, identity, recipient)


class Store:
    """An empty store on a server, to which the programs save and from which they load."""

    def __init__(self, server: S3Server, programs: Programs, folder: Path) -> None:
        """`folder` is for the credentials."""
        certificate = server.certificate
        ca = certificate.authority if certificate else ""
        credentials = Credentials(server.access_key, server.secret_key, ca=ca)
        file = folder / "credentials"
        file.touch(0o600)
        file.write_text(credentials.build())
        self._programs = programs
        self._around = ["env", f"{VARIABLE}={file}", *on_processors(2)]
        self._url = server.url(MACHINE)
        self._client = Client(ServerUrl.parse(self._url), credentials)
        new_head(self._client)

    def save(self, stream: Path) -> Run:
        """Save a stream, which replaces none that is there."""
        words = [self._programs.save, SAVE, self._url, stream, self._programs.recipient]
        return run_measured([*self._around, *map(str, words)])

    def load(self) -> Run:
        """Load what was saved."""
        words = [self._programs.load, LOAD, self._url, self._programs.identity]
        return run_measured([*self._around, *map(str, words)])

    def copy_parts(self, folder: Path) -> list[Path]:
        """Write the parts of the image to files in a new folder."""
        folder.mkdir()
        files: list[Path] = []
        with closing(self._client.connection()) as connection:
            for each in list(connection.list()):
                if isinstance(each, Listed) and each.key != KEY:
                    found = connection.get(each.key, parts.SIZE)
                    assert found
                    files.append(folder / f"{len(files):05}")
                    files[-1].write_bytes(found.data)
        return files


def measure(folder: Path) -> tuple[list[Figure], dict[str, object]]:
    """Compare with curl over two streams; return the figures and all that was measured.

    `folder` is on a tmpfs, and takes some 8 GB.
    """
    programs = Programs.in_folder(folder)
    noise = folder / "noise"
    _write_noise(noise, STREAM_MIB)
    figures: list[Figure] = []
    report: dict[str, object] = {}
    for name, stream in (("real", real_stream()), ("noise", noise)):
        rounds, stored = _compare(stream, programs, folder)
        size = stream.stat().st_size
        _print(f"{name}: {size / 1e6:.0f} MB, stored as {stored / 1e6:.0f} MB", rounds, stored)
        figures += figures_of(name, rounds, size / stored)
        jobs = {job: [asdict(run) for run in runs] for job, runs in rounds.items()}
        report[name] = {"stream_bytes": size, "stored_bytes": stored} | jobs
    _write_noise(noise, TLS_MIB)
    for what, runs in _with_tls(noise, programs, folder).items():
        peaks = [run.rss_mib for run in runs]
        figures.append(Figure(f"TLS: {what}, peak on two processors", peaks, "MiB", MEMORY_BAR))
    return figures, report


def _write_noise(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))


def _compare(stream: Path, programs: Programs, folder: Path) -> tuple[Rounds, int]:
    """Return the runs of each job, and the bytes that each moves."""
    with _server(folder) as server:
        store = Store(server, programs, folder)
        store.save(stream)
        files = store.copy_parts(folder / "parts")
    rounds: Rounds = {}
    for number in range(ROUNDS):
        with _server(folder) as server:
            store = Store(server, programs, folder)
            jobs = _jobs(store, stream, Curl(server, files, folder))
            for what in (SAVE, LOAD):
                pair = (what, CURL + what)
                for job in reversed(pair) if number % 2 else pair:
                    rounds.setdefault(job, []).append(jobs[job]())
    stored = sum(file.stat().st_size for file in files)
    shutil.rmtree(folder / "parts")
    return rounds, stored


@contextmanager
def _server(folder: Path, certificate: Certificate | None = None) -> Iterator[S3Server]:
    """Yield one that has nothing yet; what it gets is gone with it."""
    with S3Server(folder / "server", certificate) as server:
        yield server
    shutil.rmtree(folder / "server")


def _jobs(store: Store, stream: Path, curl: "Curl") -> dict[str, Job]:
    return {
        SAVE: lambda: store.save(stream),
        CURL + SAVE: curl.upload,
        LOAD: store.load,
        CURL + LOAD: curl.download,
    }


class Curl:
    """One process that moves all objects, each as soon as a connection is free."""

    def __init__(self, server: S3Server, files: Sequence[Path], folder: Path) -> None:
        """`files` are what is moved; `folder` is for what curl is told."""
        self._server = server
        self._files = files
        self._folder = folder

    def upload(self) -> Run:
        """Put the files there."""
        return self._run({file: f'upload-file = "{file}"' for file in self._files})

    def download(self) -> Run:
        """Get them, to nowhere."""
        return self._run(dict.fromkeys(self._files, f'output = "{os.devnull}"'))

    def _run(self, lines: Mapping[Path, str]) -> Run:
        config = self._folder / "curl"
        config.touch(0o600)
        config.write_text("next\n".join(self._one(file, line) for file, line in lines.items()))
        words = ["curl", "-q", "--no-progress-meter", "--fail-early", "--config", config]
        words += ["--parallel", "--parallel-max", parts.CONNECTIONS]
        return run_command([*on_processors(2), *map(str, words)])

    def _one(self, file: Path, line: str) -> str:
        """Return what curl is told of one object; its signature leaves the body out."""
        url = f"http://{HOST}:{self._server.port}/{BUCKET}/curl/{file.name}"
        user = f"{self._server.access_key}:{self._server.secret_key}"
        signing = f'user = "{user}"\naws-sigv4 = "aws:amz:us-east-1:s3"'
        return f'fail\nshow-error\nurl = "{url}"\n{signing}\n{line}\n'


def figures_of(name: str, rounds: Rounds, packing: float) -> list[Figure]:
    """Return what we do in a second, where curl does 1, and what memory we take.

    `packing` is how many bytes of stream are in a stored one, which curl has none of.
    """
    figures = []
    for what in (SAVE, LOAD):
        pairs = list(zip(rounds[what], rounds[CURL + what], strict=True))
        stored = [curl.seconds / ours.seconds for ours, curl in pairs]
        stream = [packing * ratio for ratio in stored]
        peaks = [ours.rss_mib for ours, _ in pairs]
        figures += [
            Figure(f"{name}: {what} / curl, MB/s of stream", stream, bar=SPEED_BAR),
            Figure(f"{name}: {what} / curl, MB/s stored", stored, bar=SPEED_BAR),
            Figure(f"{name}: {what}, peak on two processors", peaks, "MiB", MEMORY_BAR),
        ]
    return figures


def _with_tls(noise: Path, programs: Programs, folder: Path) -> Rounds:
    """Return a save and a load over TLS."""
    certificate = Authority().sign(folder / "certificate")
    with _server(folder, certificate) as server:
        store = Store(server, programs, folder)
        return {SAVE: [store.save(noise)], LOAD: [store.load()]}


def _print(title: str, rounds: Rounds, stored: int) -> None:
    rows = []
    for job, runs in rounds.items():
        speed = stored / 1e6 / median_seconds(runs)
        row = (median_seconds(runs), median_cpu(runs), speed, peak_mib(runs))
        rows.append([job, *(f"{value:.4g}" for value in row)])
    print_table(title, ["job", "seconds", "processor", "MB/s stored", "peak, MiB"], rows)
