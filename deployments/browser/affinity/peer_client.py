"""Connections to the room's other VMs, which may lose their power at any moment."""

import asyncio
import socket

import httpx

CONNECT_TIMEOUT_S = 2.0
OPENED_WITHIN_S = 60.0
# No answer keeps silent for longer: a task may be waited for ten minutes.
LONGEST_S = 600 + OPENED_WITHIN_S
GONE_AFTER_S = 20
# A VM that loses its power says nothing. These notice it, while we wait and while we send.
SOCKET_OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, GONE_AFTER_S // 4),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, GONE_AFTER_S // 4),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_AFTER_S * 1000),
]


class NotReached(Exception):
    """Nobody answers there: nothing was asked, and another VM may be."""


def peers_client() -> httpx.AsyncClient:
    """A client that waits for a peer's answer as long as the peer is there."""
    # Each caller of the room may need a connection; one at rest is closed before the peer does it.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=2)
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(limits=limits, socket_options=SOCKET_OPTIONS),
        timeout=patience(LONGEST_S),
        trust_env=False,
    )


def patience(seconds: float) -> httpx.Timeout:
    """Wait so long for an answer, and less for a connection."""
    return httpx.Timeout(seconds, connect=CONNECT_TIMEOUT_S)


async def dial(where: str) -> socket.socket:
    """Connect to ``host:port``. Raises `NotReached`."""
    host, _, port = where.rpartition(":")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setblocking(False)
        for option in SOCKET_OPTIONS:
            sock.setsockopt(*option)
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    except OSError as error:  # a TimeoutError is one
        sock.close()
        raise NotReached(where) from error
    except BaseException:
        sock.close()
        raise
    return sock
