"""Audio files from strangers, read with FFmpeg (PyAV): with limits, or refused with the reason.

Runs in a `decoding.process`, which bounds what a file can cost.
"""

import importlib
import io
import pkgutil
import wave
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from autobot.errors import BadRequest, TooLarge
from deployments.npu.speech.service import RATE

FORMATS = "wav,w64,aiff,mp3,flac,ogg,mov,matroska,aac,mpeg,caf"
"""Containers. No playlist, no protocol: those would open other files and addresses."""
LEAST_SECONDS = 0.1
LEAST_RATE = 1000
"""Samples a second. At 1 a second the samples of a kilobyte become an hour's at our rate."""


def decode(data: bytes, most_seconds: int) -> tuple[dict[str, Any], bytearray]:
    """Return the first audio stream as int16 samples, mono, `RATE` a second.

    Raises `BadRequest` when the bytes are no whole audio file of a supported format, `TooLarge`
    when they go on for longer than ``most_seconds``; it reads no further than that.
    """
    if not data:
        raise BadRequest("The audio file is empty.")
    try:
        samples = _samples(data, most_seconds)
    except MemoryError:  # FFmpeg's is one of FFmpegError too
        raise
    except FFmpegError as error:
        raise BadRequest(f"The audio cannot be read: {error.strerror}.") from error
    except (ValueError, UnicodeError) as error:  # PyAV's own, on absurd stream parameters
        raise BadRequest(f"The audio cannot be read: {error}.") from error
    if len(samples) < LEAST_SECONDS * RATE * 2:
        raise BadRequest(f"The audio lasts less than {LEAST_SECONDS} s.")
    return {}, samples


def warm_up() -> None:
    """Read a second of silence, and import what streams of other kinds would: later nothing can."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 2, 8000, 0, "NONE", ""))
        written.writeframes(bytes(16000))
    decode(file.getvalue(), 2)


def _samples(data: bytes, most_seconds: int) -> bytearray:
    samples = bytearray()
    options = {"format_whitelist": FORMATS}
    with av.open(io.BytesIO(data), "r", options=options, metadata_errors="ignore") as file:
        if not file.streams.audio:
            raise BadRequest("The file has no audio in it.")
        stream = file.streams.audio[0]
        stream.codec_context.thread_count = 1  # a decoder process may start no other
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in file.decode(stream):
            _check_rate(frame.sample_rate)
            seconds = len(samples) / 2 / RATE + frame.samples / frame.sample_rate
            if seconds > most_seconds:
                raise TooLarge(f"The audio is longer than {most_seconds} s, the most that is read.")
            for piece in resampler.resample(frame):
                samples += _bytes(piece)
        for piece in resampler.resample(None):
            samples += _bytes(piece)
    return samples


def _check_rate(rate: int) -> None:
    if rate < LEAST_RATE:
        raise BadRequest(f"The audio has {rate} samples a second; at least {LEAST_RATE} are read.")


def _bytes(piece: Any) -> bytes:
    array: NDArray[np.int16] = piece.to_ndarray()[0]
    return array.tobytes()
