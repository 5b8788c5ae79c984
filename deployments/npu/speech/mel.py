"""Whisper's picture of sound: 80 mel bands, 100 frames a second."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
FFT = 400
HOP = 160
BANDS = 80
Floats = NDArray[np.float32]


def log_mel(samples: NDArray[np.int16], size: int) -> Floats:
    """Return f32 [BANDS, size // HOP] of ``samples``, with silence after them up to ``size``."""
    sound = np.zeros(size, np.float32)
    sound[: len(samples)] = samples[:size].astype(np.float32) / 32768
    padded = np.pad(sound, FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP][: size // HOP]
    window = np.hanning(FFT + 1)[:-1].astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    log = np.log10(np.maximum(filters() @ power.T.astype(np.float32), 1e-10))
    return ((np.maximum(log, log.max() - 8) + 4) / 4).astype(np.float32)


@cache
def filters() -> Floats:
    """Return f32 [BANDS, FFT // 2 + 1]: triangles of equal area on Slaney's mel scale, which is
    linear below 1 kHz (200/3 Hz a mel) and logarithmic above (27 mels for a factor of 6.4)."""
    frequencies = np.fft.rfftfreq(FFT, 1 / RATE)
    top = 15 + np.log(RATE / 2 / 1000) / (np.log(6.4) / 27)
    mels = np.linspace(0, top, BANDS + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp((mels - 15) * np.log(6.4) / 27))
    widths = np.diff(edges)
    ramps = edges[:, None] - frequencies[None]
    rising, falling = -ramps[:-2] / widths[:-1, None], ramps[2:] / widths[1:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)
