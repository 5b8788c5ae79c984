"""Reading text in images: what an engine must do, and the queue in front of it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import TooLarge

MAX_IMAGE_BYTES = 20 << 20
MAX_WAITING, MAX_WAITING_EACH = 32, 8
"""Of all callers, and of those with one API key: a page takes a second or so, and whoever comes
after this many would wait longer than is useful."""
MAX_PAGES = 20
"""Of one request that names none: each is read, or the file is refused."""

Point = tuple[float, float]
Box = tuple[Point, Point, Point, Point]


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright picture, transparency laid over white.

    ``pixels``: uint8 [rows, columns, 3] in BGR order, fitted for reading. ``width`` and ``height``
    are the picture's own; one fitted pixel is ``scale`` of its pixels. A margin, if any, is on the
    right and below, so coordinates only need scaling. ``pages``: of the file.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    scale: float
    pages: int = 1


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
    """Pages with where they were read; ``first`` is the number of the first of them.

    ``milliseconds``: decoding and reading, without the queue.
    """

    pages: list[Page]
    first: int
    model: str
    device: str
    milliseconds: float

    @property
    def text(self) -> str:
        """All lines in reading order, page after page, with a line break between two."""
        return "\n".join(line.text for page in self.pages for line in page.lines)


class OcrEngine(Protocol):
    """An OCR engine on one device. Every method blocks; `read` is called from one thread."""

    @property
    def model(self) -> str:
        """The name of its models, for answers and health."""
        ...

    def device(self) -> str:
        """The device the engine says it runs on, for example ``CPU``; empty until it has run."""
        ...

    def read(self, image: bytes, page: int = 1) -> Page:
        """Read an image file, or a page (from 1) of a PDF or TIFF file.

        Raises `Invalid` when it is broken or lacks the page, `TooLarge` when it has too many pixels
        or costs more than it may.
        """
        ...

    def facts(self) -> dict[str, Any]:
        """Return what health says of the engine and of its decoder's limits. Loads nothing."""
        ...


class Reader:
    """One page at a time through ``engine``, a bounded number of callers waiting.

    Keys that wait take turns, page by page: a long document does not hold up a single picture.
    """

    def __init__(
        self,
        engine: OcrEngine,
        waiting: int = MAX_WAITING,
        waiting_each: int = MAX_WAITING_EACH,
    ) -> None:
        self.engine = engine
        self._turns = ConcurrencyLimiter(
            1, waiting, waiting_each=waiting_each, what="pages to be read"
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ocr")

    async def read(self, image: bytes, page: int | None = None, key: str = "") -> Reading:
        """Read ``page``, or without one every page, of which there may be `MAX_PAGES`.

        Raises what `OcrEngine.read` raises, `TooLarge` for too many bytes or pages, `Busy` when
        the queue is full. ``key``: whose turn it takes.
        """
        if len(image) > MAX_IMAGE_BYTES:
            raise too_large(len(image))
        pages: list[Page] = []
        seconds = 0.0
        number, last = page or 1, page or 1
        while number <= last:
            async with self._turns.slot(key):
                started = time.perf_counter()
                pages.append(await self._read(image, number))
                seconds += time.perf_counter() - started
            if page is None:
                last = _counted(pages[0].pages)
            number += 1
        device = self.engine.device()
        return Reading(pages, page or 1, self.engine.model, device, round(seconds * 1000, 1))

    async def facts(self) -> dict[str, Any]:
        """Does not load the models. ``waiting`` counts the callers whose page waits."""
        return {
            "device": self.engine.device() or None,
            "models": [self.engine.model],
            "waiting": self._turns.queued,
            **self.engine.facts(),
        }

    async def _read(self, image: bytes, number: int) -> Page:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self.engine.read, image, number)


def _counted(pages: int) -> int:
    if pages > MAX_PAGES:
        raise TooLarge(
            f"The file has {pages} pages; at most {MAX_PAGES} are read at once. "
            "Ask for one at a time with `?page=1` and so on."
        )
    return pages


def too_large(size: int) -> TooLarge:
    """Return the error for an image of ``size`` bytes; the caller raises it."""
    return TooLarge(f"The image has {size} bytes; at most {MAX_IMAGE_BYTES} are read.")
