"""A disk whose cache forgets: what the guest has not flushed is lost with the power, or half of it.

A file that is written through the host's page cache survives a killed QEMU whole, so the cache is
here: a file is served to one QEMU over NBD, and what comes after the last flush stays in memory
until the machine is off. Of each such write then all, nothing or some sectors reach the file,
whatever became of those before it. The protocol is the fixed newstyle handshake and the simple
replies of https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
"""

import os
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from io import BufferedRWPair
from pathlib import Path
from random import Random
from typing import Self

OPTION_MAGIC = b"IHAVEOPT"
OPTION_REPLY_MAGIC = 0x3E889045565A9
REPLY_MAGIC = 0x67446698
FIXED_NEWSTYLE_NO_ZEROES = 3
HAS_FLAGS_FLUSH_FUA = 1 | 4 | 8
GO = 7
ACK, INFO, UNSUPPORTED = 1, 3, (1 << 31) | 1
INFO_EXPORT = 0
FUA = 1
NO_ERROR = 0


class Command(IntEnum):
    """What a request asks for."""

    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the guest, offset and length in bytes."""

    command: Command
    offset: int
    length: int

    def covers(self, offset: int) -> bool:
        """Return whether the byte at `offset` is among those read or written."""
        return self.offset <= offset < self.offset + self.length


class LossyDisk:
    """Serves `file` at the Unix socket `place` to one QEMU at a time.

    A context manager: on leaving it, when QEMU has ended, `chance` decides what of the unflushed
    writes reaches the file. The first request for which `hangs` returns True is carried out and
    never answered: `reached` is set, and the disk is stuck. A sector
    of so many bytes is written whole or not at all.
    """

    def __init__(
        self,
        file: Path,
        place: Path,
        chance: Random,
        hangs: Callable[[Request], bool] = lambda _: False,
        sector: int = 512,
    ) -> None:
        self.place = place
        self.reached = threading.Event()
        self._chance = chance
        self._hangs = hangs
        self._sector = sector
        self._unflushed: list[tuple[int, bytes]] = []
        self._file = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        place.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        self.place.unlink()
        self._lose()
        os.close(self._file)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed: no QEMU connects any more
            # The power may go off in the middle of a request or an answer.
            off = suppress(EOFError, BrokenPipeError, ConnectionResetError)
            with off, connection, connection.makefile("rwb") as stream:
                self._shake_hands(stream)
                while self._answer(stream):
                    pass

    def _shake_hands(self, stream: BufferedRWPair) -> None:
        stream.write(b"NBDMAGIC" + OPTION_MAGIC + struct.pack(">H", FIXED_NEWSTYLE_NO_ZEROES))
        stream.flush()
        _exactly(stream, 4)
        option = 0
        while option != GO:
            _, option, length = struct.unpack(">8sII", _exactly(stream, 16))
            _exactly(stream, length)
            if option == GO:
                size = os.fstat(self._file).st_size
                info = struct.pack(">HQH", INFO_EXPORT, size, HAS_FLAGS_FLUSH_FUA)
                self._option_reply(stream, option, INFO, info)
            self._option_reply(stream, option, ACK if option == GO else UNSUPPORTED)

    @staticmethod
    def _option_reply(stream: BufferedRWPair, option: int, kind: int, data: bytes = b"") -> None:
        stream.write(struct.pack(">QIII", OPTION_REPLY_MAGIC, option, kind, len(data)) + data)
        stream.flush()

    def _answer(self, stream: BufferedRWPair) -> bool:
        """Carry out one request; return whether there can be another."""
        _, flags, kind, cookie, offset, length = struct.unpack(">IHHQQI", _exactly(stream, 28))
        request = Request(Command(kind), offset, length)
        data = _exactly(stream, length) if request.command == Command.WRITE else b""
        if request.command == Command.DISCONNECT:
            return False
        answer = self._carry_out(request, data, durable=bool(flags & FUA))
        if self._hangs(request):
            self.reached.set()
            stream.read()  # until the power is off
            return False
        stream.write(struct.pack(">IIQ", REPLY_MAGIC, NO_ERROR, cookie) + answer)
        stream.flush()
        return True

    def _carry_out(self, request: Request, data: bytes, *, durable: bool) -> bytes:
        """Return what there is to answer."""
        if request.command == Command.READ:
            return self._read(request.offset, request.length)
        if request.command == Command.WRITE:
            self._unflushed.append((request.offset, data))
        if durable or request.command == Command.FLUSH:
            for offset, written in self._unflushed:
                os.pwrite(self._file, written, offset)
            self._unflushed.clear()
        return b""

    def _read(self, offset: int, length: int) -> bytes:
        data = bytearray(os.pread(self._file, length, offset))
        for start, written in self._unflushed:
            begin, end = max(start, offset), min(start + len(written), offset + length)
            if begin < end:
                data[begin - offset : end - offset] = written[begin - start : end - start]
        return bytes(data)

    def _lose(self) -> None:
        for offset, data in self._unflushed:
            fate = self._chance.choice(("kept", "torn", "lost"))
            for at in range(0, len(data), self._sector):
                if fate == "kept" or (fate == "torn" and self._chance.random() < 0.5):
                    os.pwrite(self._file, data[at : at + self._sector], offset + at)
        self._unflushed.clear()


def _exactly(stream: BufferedRWPair, length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data
