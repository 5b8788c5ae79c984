"""Audio files from strangers, read with FFmpeg (PyAV): with limits, or refused with the reason."""

import io

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from autobot.errors import BadRequest, TooLarge
from deployments.npu.speech import RATE

FORMATS = "wav,w64,aiff,mp3,flac,ogg,mov,matroska,aac,mpeg,caf"
"""Containers. No playlist, no protocol: those would open other files and addresses."""
LEAST_SECONDS = 0.1


def decode(data: bytes, most_seconds: int) -> NDArray[np.int16]:
    """Return the first audio stream as mono samples, `RATE` a second.

    Raises `BadRequest` when the bytes are no whole audio file of a supported format, `TooLarge`
    when they go on for longer than ``most_seconds``; it reads no further than that.
    """
    if not data:
        raise BadRequest("The audio file is empty.")
    try:
        samples = _samples(data, most_seconds)
    except FFmpegError as error:
        raise BadRequest(f"The audio cannot be read: {error.strerror}.") from error
    except (ValueError, UnicodeError) as error:  # PyAV's own, on absurd stream parameters
        raise BadRequest(f"The audio cannot be read: {error}.") from error
    if len(samples) < LEAST_SECONDS * RATE:
        raise BadRequest(f"The audio lasts less than {LEAST_SECONDS} s.")
    return samples


def _samples(data: bytes, most_seconds: int) -> NDArray[np.int16]:
    pieces: list[NDArray[np.int16]] = []
    heard = 0
    options = {"format_whitelist": FORMATS}
    with av.open(io.BytesIO(data), "r", options=options, metadata_errors="ignore") as file:
        if not file.streams.audio:
            raise BadRequest("The file has no audio in it.")
        stream = file.streams.audio[0]
        resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
        for frame in file.decode(stream):
            for piece in resampler.resample(frame):
                pieces.append(piece.to_ndarray()[0])
                heard += len(pieces[-1])
            if heard > most_seconds * RATE:
                raise TooLarge(f"The audio is longer than {most_seconds} s, the most that is read.")
        pieces += [piece.to_ndarray()[0] for piece in resampler.resample(None)]
    return np.concatenate(pieces) if pieces else np.empty(0, np.int16)
