"""Reading text in images: what an engine must do, and the queue in front of it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from autobot.errors import Busy, TooLarge

MAX_IMAGE_BYTES = 20 << 20
MAX_WAITING = 16
"""A page takes a second or so: whoever comes after this many would wait longer than is useful."""

Point = tuple[float, float]
Box = tuple[Point, Point, Point, Point]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text. ``confidence`` is 0..1. ``box``: pixels of the upright image, clockwise from
    the text's own top left, so rotated text has a rotated box."""

    text: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True)
class Page:
    """Lines in reading order; the upright image's size in pixels; how many pages its file has."""

    lines: list[Line]
    width: int
    height: int
    pages: int = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """A page with where it was read. ``milliseconds``: decoding and reading, without the queue."""

    page: Page
    model: str
    device: str
    milliseconds: float

    @property
    def text(self) -> str:
        return "\n".join(line.text for line in self.page.lines)


class OcrEngine(Protocol):
    """An OCR engine on one device. Every method blocks; `read` is called from one thread."""

    @property
    def model(self) -> str: ...

    def device(self) -> str:
        """The device the engine says it runs on, for example ``CPU``; empty until it has run."""
        ...

    def read(self, image: bytes, page: int = 1) -> Page:
        """Read an image file or a page of a PDF file (from 1).

        Raises `Invalid` when it is broken or lacks the page, `TooLarge` for too many pixels.
        """
        ...

    def facts(self) -> dict[str, Any]: ...


class Reader:
    """One image at a time through ``engine``, a bounded number waiting, in order of arrival."""

    def __init__(self, engine: OcrEngine, max_waiting: int = MAX_WAITING) -> None:
        self.engine = engine
        self._max_waiting = max_waiting
        self._inside = 0
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ocr")

    async def read(self, image: bytes, page: int = 1) -> Reading:
        """Raise what `OcrEngine.read` raises, `TooLarge` for too many bytes, `Busy` when full."""
        if len(image) > MAX_IMAGE_BYTES:
            raise too_large(len(image))
        if self._inside > self._max_waiting:
            raise Busy(f"{self._max_waiting} images are waiting to be read; try again shortly.")
        self._inside += 1
        try:
            async with self._turn:
                return await self._read(image, page)
        finally:
            self._inside -= 1

    async def facts(self) -> dict[str, Any]:
        return {
            "device": self.engine.device() or None,
            "models": [self.engine.model],
            "waiting": max(0, self._inside - 1),
            **self.engine.facts(),
        }

    async def _read(self, image: bytes, number: int) -> Reading:
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        page = await loop.run_in_executor(self._thread, self.engine.read, image, number)
        milliseconds = (time.perf_counter() - started) * 1000
        return Reading(page, self.engine.model, self.engine.device(), round(milliseconds, 1))


def too_large(size: int) -> TooLarge:
    return TooLarge(f"The image has {size} bytes; at most {MAX_IMAGE_BYTES} are read.")
