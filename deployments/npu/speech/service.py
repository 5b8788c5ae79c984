"""Speech to text for many callers: limits, and windows of 30 s that take turns."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import BadRequest, Invalid, TooLarge
from deployments.npu.batching.on_demand import OnDemand

Samples = NDArray[np.int16]
"""Mono, `RATE` a second."""
RATE = 16_000
MAX_AUDIO_BYTES = 25 << 20
"""As OpenAI's."""
MAX_SECONDS = 3600
MAX_INSIDE = 4
"""An hour of samples is 115 MB, so few callers may hold some at once."""
MAX_INSIDE_EACH = 2
MAX_WAITING, MAX_WAITING_EACH = 16, 4
"""Of all callers, and of those with one API key."""


class AudioFiles(Protocol):
    """Where samples come from. `decode` blocks and is safe from several threads."""

    def decode(self, data: bytes, most_seconds: int) -> Samples:
        """Raise `BadRequest` when the file is broken, `TooLarge` when it is longer or costs more
        than it may."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what health says of the limits under which files are decoded."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """``language``: ISO 639-1, None to find out. ``temperature`` 0 means the most likely words,
    and higher ones only where those make no sense. ``prompt``: words that come before."""

    language: str | None = None
    temperature: float = 0.0
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A few words. Times in seconds from the start of the audio; logprob is the mean of tokens."""

    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


@dataclass(frozen=True, slots=True)
class Window:
    """What was said in up to 30 s, and the language of it (ISO 639-1)."""

    segments: list[Segment]
    language: str


class SpeechModel(Protocol):
    """One model on one device. Every method blocks; windows are made in one thread at a time."""

    @property
    def name(self) -> str:
        """The real name, which answers give: never ``default``."""
        ...

    def device(self) -> str:
        """The device the engine says it runs on, for example ``CPU``."""
        ...

    def transcribe(self, samples: Samples, asked: Asked) -> Iterator[Window]:
        """Yield windows in order; raise `BadRequest` for a language the model does not know."""
        ...


class SpeechModels(Protocol):
    """Where models come from; as `EmbeddingModels`."""

    def installed(self) -> list[str]: ...

    def resolve(self, name: str) -> str: ...

    def load(self, name: str) -> SpeechModel: ...

    def facts(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Transcript:
    """``seconds``: how long the audio is."""

    segments: list[Segment]
    language: str
    seconds: float
    model: str
    device: str

    @property
    def text(self) -> str:
        """The words of all segments, without space around them."""
        return "".join(segment.text for segment in self.segments).strip()


class Transcriber:
    """Every installed speech model behind one door; models load at first use and stay.

    Callers take turns window by window, so an hour of audio does not hold up a spoken sentence, and
    a caller who goes away costs at most the window at hand.
    """

    def __init__(self, models: SpeechModels, files: AudioFiles) -> None:
        self._models = models
        self._files = files
        self._loaded = OnDemand(models.load)
        self._inside = ConcurrencyLimiter(
            MAX_INSIDE,
            MAX_WAITING,
            limit_each=MAX_INSIDE_EACH,
            waiting_each=MAX_WAITING_EACH,
            what="transcriptions",
        )
        self._turns = ConcurrencyLimiter(1, MAX_INSIDE, what="windows of speech")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="speech")
        # Of its own: a file that is slow to decode does not hold up the words of others.
        self._decoding = ThreadPoolExecutor(1, thread_name_prefix="decode")

    async def transcribe(
        self, audio: bytes, model: str = "default", asked: Asked | None = None, key: str = ""
    ) -> Transcript:
        """Raise what decoding and the model raise, `ModelNotFound`, `TooLarge`, `Busy`.

        ``key``: whose turn it takes. Keys that wait are served in turn.
        """
        name = self._models.resolve(model)
        if len(audio) > MAX_AUDIO_BYTES:
            told = f"The audio has {len(audio)} bytes; at most {MAX_AUDIO_BYTES} are read."
            raise TooLarge(told).of("file")
        async with self._inside.slot(key):
            return await self._transcribe(audio, name, asked or Asked(), key)

    async def facts(self) -> dict[str, Any]:
        """Does not load a model: none is in memory until somebody speaks."""
        loaded = self._loaded.all()
        return {
            "device": ",".join(dict.fromkeys(model.device() for model in loaded)) or None,
            "models": self._models.installed(),
            "loaded": [model.name for model in loaded],
            "inside": self._inside.running,
            "queued": self._inside.queued,
            **self._models.facts(),
            **self._files.facts(),
        }

    async def _transcribe(self, audio: bytes, name: str, asked: Asked, key: str) -> Transcript:
        loop = asyncio.get_running_loop()
        decode = self._files.decode
        try:
            samples = await loop.run_in_executor(self._decoding, decode, audio, MAX_SECONDS)
        except (BadRequest, Invalid, TooLarge) as error:
            error.of("file")
            raise
        model = await self._loaded.get(name)
        windows = model.transcribe(samples, asked)
        segments: list[Segment] = []
        language = asked.language or ""
        while (window := await self._next(windows, key)) is not None:
            segments += window.segments
            language = language or window.language
        seconds = round(len(samples) / RATE, 2)
        return Transcript(segments, language, seconds, model.name, model.device())

    async def _next(self, windows: Iterator[Window], key: str) -> Window | None:
        async with self._turns.slot(key):
            return await asyncio.get_running_loop().run_in_executor(
                self._thread, next, windows, None
            )
