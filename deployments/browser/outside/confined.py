"""What a process of `child` does: take one job, cut itself off, do it, answer, and end."""

import json
import os
import socket
import struct
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from autobot.sandbox import Limits, cut_off

FRAME = struct.Struct("<I")
"""Bytes of the JSON that follows."""
LONGEST_DIAL = 4096
"""Bytes of a request for a connection, and of what is said when there is none."""


class NoConnection(OSError):
    """There is no connection; ``kind`` is ``blocked`` by the policy or ``failed``."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Room:
    """Who gave this process its job: the other end of the socket of the command's first argument.

    The one job is taken at once, and the process cut off.
    """

    def __init__(self, *, programs: bool = False) -> None:
        """``programs``: see `cut_off`."""
        self._control = _socket(1)
        size = FRAME.unpack(_exactly(self._control, FRAME.size))[0]
        received = json.loads(_exactly(self._control, size))
        self.limits = Limits(**received["limits"])
        self.job: dict[str, Any] = received["job"]
        cut_off(self.limits, programs=programs)

    def answer(self, result: Mapping[str, Any]) -> NoReturn:
        """Send ``result`` and end this process without ado, whatever else is under way in it.

        Raises as `json.dumps` does; then nothing was sent.
        """
        body = json.dumps(result, allow_nan=False).encode()
        self._control.sendall(FRAME.pack(len(body)) + body)
        os._exit(0)


class Dialer:
    """Asks the room for connections, which are opened under its egress policy."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control

    @classmethod
    def of_command(cls) -> "Dialer":
        """By the socket which the command's second argument names."""
        return cls(_socket(2))

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected, blocking socket; raises `NoConnection`."""
        request = json.dumps([host, port]).encode()
        if len(request) > LONGEST_DIAL:
            raise NoConnection("failed", "This is no host.")
        self._control.sendall(request)
        reply, descriptors, _, _ = socket.recv_fds(self._control, LONGEST_DIAL, 1)
        if not descriptors:
            said = json.loads(reply)
            raise NoConnection(said["kind"], said["detail"])
        connection = socket.socket(fileno=descriptors[0])
        connection.setblocking(True)
        return connection


def _socket(argument: int) -> socket.socket:
    """The socket of that argument of the command; what this process starts does not inherit it."""
    inherited = socket.socket(fileno=int(sys.argv[argument]))
    inherited.set_inheritable(False)
    return inherited


def _exactly(control: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        if not (part := control.recv(min(size - len(received), 1 << 20))):
            raise EOFError
        received += part
    return bytes(received)
