"""One HTTP request of a page, read strictly and written anew for the server that was checked.

What leaves says what we understood: one ``Host``, that of the checked address; one length of the
body; and nothing after it. A second request, a ``Host`` of the client's own or two lengths would be
for a server, or a site of it, that nobody has checked.
"""

import asyncio
from collections.abc import AsyncIterator

import h11

from deployments.browser.egress.policy import Target

CHUNK = 64 << 10
HOP_BY_HOP = {b"connection", b"keep-alive", b"te", b"upgrade", b"trailer"}


def host_of(target: Target) -> bytes:
    """What ``Host`` says of an http address."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return (host if target.port == 80 else f"{host}:{target.port}").encode()


class Proxied:
    """A request that begins with ``head``; raises `h11.RemoteProtocolError` for what is none."""

    def __init__(self, head: bytes) -> None:
        self._theirs = h11.Connection(h11.SERVER, max_incomplete_event_size=CHUNK)
        self._ours = h11.Connection(h11.CLIENT)
        self._theirs.receive_data(head)
        asked = self._theirs.next_event()
        if not isinstance(asked, h11.Request):
            raise h11.RemoteProtocolError("this is no request")
        self._asked = asked
        self.target = asked.target.decode("latin-1")

    @property
    def upgrades(self) -> bool:
        """Whether it asks for a WebSocket."""
        return any(n == b"upgrade" and v.lower() == b"websocket" for n, v in self._asked.headers)

    def head(self, target: Target, path: str) -> bytes:
        """The request without its body, for ``path`` on ``target``."""
        named = {
            name.strip().lower()
            for header, value in self._asked.headers
            if header == b"connection"
            for name in value.split(b",")
        }
        dropped = HOP_BY_HOP | {b"host"} | ({b"upgrade"} | named) - {b"transfer-encoding"}
        if any(name == b"transfer-encoding" for name, _ in self._asked.headers):
            dropped.add(b"content-length")
        kept = [
            (name, value)
            for name, value in self._asked.headers.raw_items()
            if name.lower() not in dropped and not name.lower().startswith(b"proxy-")
        ]
        ends = [(b"Connection", b"close")]
        if self.upgrades:
            ends = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        headers = [(b"Host", host_of(target)), *kept, *ends]
        written = self._ours.send(
            h11.Request(method=self._asked.method, target=path.encode("latin-1"), headers=headers)
        )
        assert written is not None
        return written

    async def body(self, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
        """The pieces of its body, to be written after `head`; the rest comes from ``reader``."""
        while True:
            event = self._theirs.next_event()
            if event is h11.NEED_DATA:
                self._theirs.receive_data(await reader.read(CHUNK))
            elif isinstance(event, h11.Data):
                yield self._ours.send(h11.Data(data=event.data)) or b""
            elif isinstance(event, h11.EndOfMessage):
                yield self._ours.send(h11.EndOfMessage()) or b""
                return
            else:
                raise h11.RemoteProtocolError("the body broke off")
