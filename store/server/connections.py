"""Connections to a server that threads take in turn."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from s3.client import Connection


class Connections:
    """Connections that threads take in turn, made as they are needed."""

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make
        self._idle: deque[Connection] = deque()

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """Lend one that nobody else uses."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._make()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def close(self) -> None:
        """Close them all; nobody may use one."""
        while self._idle:
            self._idle.pop().close()
