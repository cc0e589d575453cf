"""Messages between a slot and its coordinator, taken whole: one that stops in the middle holds up nobody."""

from __future__ import annotations

import os
import pickle
import socket
import struct
from multiprocessing.connection import Connection
from typing import Any

_LENGTH = struct.Struct("!Q")
_CHUNK = 1 << 20  # bytes that are read at once


def post(connection: Connection, message: Any) -> None:
    """Send what can be pickled, waiting while the pipe is full. Raises OSError where nobody reads any more."""
    data = pickle.dumps(message)
    left = memoryview(_LENGTH.pack(len(data)) + data)
    while left:
        left = left[os.write(connection.fileno(), left) :]


class Inbox:
    """What was posted at the other end of `connection`, which must be a duplex one: a socket.

    The connection's own `recv` waits for the rest of a message that has begun, for ever where its sender was stopped,
    or was killed and left a child that holds the pipe open.
    """

    def __init__(self, connection: Connection) -> None:
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        self._open = bytearray()
        self.ended = False
        """Whether the other end is closed: nothing more can come."""

    def take(self) -> list[Any]:
        """The messages that have come in whole since the last time, at once."""
        while not self.ended:
            try:
                chunk = self._socket.recv(_CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError:
                chunk = b""
            self._open += chunk
            self.ended = not chunk
        found = []
        at = 0
        while len(self._open) >= at + _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._open, at)
            end = at + _LENGTH.size + size
            if len(self._open) < end:
                break
            found.append(pickle.loads(self._open[at + _LENGTH.size : end]))
            at = end
        del self._open[:at]
        return found

    def close(self) -> None:
        """Let go of the pipe."""
        self._socket.close()
