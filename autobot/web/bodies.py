"""What bodies may cost: each of them, those of one key, and all that are held at a time.

Who is let in is decided before a body is read. What is here holds for callers with a key: a body
that never ends, many large ones at once, or JSON whose values take fifty times its bytes, and for
seconds the event loop too, since nothing else runs while JSON is parsed.
"""

import asyncio
from collections import Counter

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from autobot.errors import AutoBotError, Busy, TooLarge, TooSlow

MOST_VALUES = 200_000
"""In a body of JSON: a list's items, an object's members, and lists and objects themselves."""
SIGNS = (b",", b"[", b"{")
"""There is one of them for each value, besides those in texts."""
PATIENCE_S = 30.0
LEAST_BYTES_PER_S = 16 << 10
HELD_OF_A_KEY, HELD = 4, 12
"""As many bodies of the largest size are held, of one key and of all."""


class Refused(HTTPException):
    """``error``, while a body is read: FastAPI makes a 400 of every exception but this kind."""

    def __init__(self, error: AutoBotError) -> None:
        super().__init__(error.status, error.detail)
        self.error = error


def has_body(headers: Headers) -> bool:
    """Whether a request of HTTP/1.1 with these headers brings one."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


class Bodies:
    """The bodies that are held, in bytes by key; each may have ``most`` bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: Counter[str] = Counter()

    def take(self, key: str, more: int) -> None:
        """Count ``more`` bytes for ``key``. Raises `Busy` when that is too much at once."""
        own, all_ = self._held[key], self._held.total()
        if own + more > HELD_OF_A_KEY * self.most:
            raise Busy(f"Requests of this API key with {own} bytes are being answered already.")
        if all_ + more > HELD * self.most:
            raise Busy(f"Requests with {all_} bytes are being answered already.")
        self._held[key] += more

    def give_back(self, key: str, bytes_: int) -> None:
        """Count ``bytes_`` less for ``key``: as many as `take` has counted for the body."""
        self._held[key] -= bytes_
        if not self._held[key]:
            del self._held[key]

    @property
    def held(self) -> int:
        """Bytes that are held now, of all keys together."""
        return self._held.total()


class Body:
    """The body of one request, until `close`. ``key``: in whose name it is held.

    With ``json`` it is read as JSON afterwards. Raises `TooLarge` or `Busy` for what is declared.
    """

    def __init__(
        self, bodies: Bodies, scope: Scope, receive: Receive, key: str, *, json: bool
    ) -> None:
        self._bodies, self._receive, self._key, self._json = bodies, receive, key, json
        self._taken = self._seen = self._signs = 0
        self._pieces: list[bytes] = []
        self._began: float | None = None
        self._whole = False
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isascii() and declared.isdecimal():
            self._take(int(declared[:20]))

    def close(self) -> None:
        """Give back what it held; a second call gives nothing back."""
        self._bodies.give_back(self._key, self._taken)
        self._taken = 0
        self._pieces.clear()

    async def receive(self) -> Message:
        """What the server's ``receive`` gives, as long as it is within the bounds."""
        if self._whole:
            return await self._receive()  # that the caller hangs up, whenever that is
        message = await self._in_time()
        piece = message.get("body", b"")
        self._whole = not message.get("more_body", False)
        self._seen += len(piece)
        try:
            self._take(self._seen)
            self._count(piece)
        except (TooLarge, Busy) as error:
            raise Refused(error) from error
        return message

    async def _in_time(self) -> Message:
        clock = asyncio.get_running_loop().time
        self._began = clock() if self._began is None else self._began
        try:
            async with asyncio.timeout_at(
                self._began + PATIENCE_S + self._seen / LEAST_BYTES_PER_S
            ):
                return await self._receive()
        except TimeoutError:
            raise Refused(TooSlow()) from None

    def _take(self, size: int) -> None:
        if size > self._bodies.most:
            raise TooLarge(f"The request body is larger than {self._bodies.most} bytes.")
        if self._key and size > self._taken:  # where none is needed no body is read
            self._bodies.take(self._key, size - self._taken)
            self._taken = size

    def _count(self, piece: bytes) -> None:
        if not self._json:
            return
        self._pieces.append(piece)
        self._signs += sum(map(piece.count, SIGNS))
        if self._whole and self._signs > MOST_VALUES:
            values = values_in(b"".join(self._pieces))
            if values > MOST_VALUES:
                raise TooLarge(f"The body has more than {MOST_VALUES} values.")
        if self._whole:
            self._pieces.clear()


def values_in(text: bytes) -> int:
    """At least as many values as ``text`` has when it is JSON, and as its beginning has when that
    is: signs inside of strings are not counted.
    """
    outside = text
    if b"\0" not in text:  # else UTF-16 or 32, whose strings end elsewhere
        plain = text.replace(b"\\\\", b"").replace(b'\\"', b"")
        quotes = plain.count(b'"')
        if quotes > 4 * MOST_VALUES:
            return quotes // 4
        outside = b"".join(plain.split(b'"')[::2])
    return sum(map(outside.count, SIGNS))
