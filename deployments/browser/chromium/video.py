"""JPEG pictures as a WebM film: VP8, which every browser plays.

PyAV carries FFmpeg's libraries with it. Playwright's own recorder wants an FFmpeg program that it
downloads from a server of its own, which a machine of ours may not reach.
"""

import io
import threading
from fractions import Fraction
from typing import Any

import av
import av.video

MILLISECONDS = Fraction(1, 1000)
MAX_FILM_BYTES = 64 << 20
SHORTEST_STEP_MS = 40
"""25 pictures a second: what comes faster is left out."""


class Film:
    """Pictures with their times in seconds. Thread-safe: encoding runs beside the event loop."""

    def __init__(self, width: int, height: int) -> None:
        self._size = width - width % 2, height - height % 2  # VP8 halves its colour planes
        self._lock = threading.Lock()
        self._buffer = io.BytesIO()
        self._output: Any = None
        self._stream: Any = None
        self._began = 0.0
        self._last_ms = -SHORTEST_STEP_MS

    def add(self, jpeg: bytes, at: float) -> None:
        """Append a picture; a film that has reached `MAX_FILM_BYTES` takes no more."""
        with self._lock:
            output = self._output or self._open(at)
            time_ms = int(1000 * (at - self._began))
            full = self._buffer.tell() > MAX_FILM_BYTES
            if full or time_ms < self._last_ms + SHORTEST_STEP_MS:
                return
            with av.open(io.BytesIO(jpeg), mode="r", format="mjpeg") as picture:
                for frame in picture.decode(video=0):
                    still = frame.reformat(*self._size, format="yuv420p")
                    still.pts, still.time_base = time_ms, MILLISECONDS
                    output.mux(self._stream.encode(still))
            self._last_ms = time_ms

    def _open(self, at: float) -> Any:
        self._buffer = io.BytesIO()
        self._output = av.open(self._buffer, "w", format="webm")
        options = {"deadline": "realtime", "cpu-used": "8", "crf": "30", "b": "1M"}
        self._stream = self._output.add_stream("libvpx", rate=25, options=options)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = MILLISECONDS
        self._stream.codec_context.time_base = MILLISECONDS
        self._began, self._last_ms = at, -SHORTEST_STEP_MS
        return self._output

    def cut(self) -> bytes:
        """Return the film so far, b"" when nothing moved; the next picture begins another."""
        with self._lock:
            return self._finish()

    def close(self) -> None:
        """Throw away what was not cut, and free the encoder. Blocking, as `cut` and `add` are."""
        with self._lock:
            self._finish()

    def _finish(self) -> bytes:
        if self._output is None:
            return b""
        self._output.mux(self._stream.encode(None))
        self._output.close()
        self._output = None
        return self._buffer.getvalue()
