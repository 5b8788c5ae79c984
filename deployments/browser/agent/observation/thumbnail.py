"""A picture of a page, small enough to send with every step."""

import base64
import io
from fractions import Fraction

WIDTH = 320
MOST_BYTES = 24 << 10
QUANTISER = "8"
"""FFmpeg's scale for JPEG: 2 is best, 31 worst."""


def thumbnail(jpeg: bytes) -> str | None:
    """Return ``jpeg`` at `WIDTH` pixels as base64; None when it is no picture. For a thread."""
    import av
    from av.error import FFmpegError
    from av.video.codeccontext import VideoCodecContext

    try:
        with av.open(io.BytesIO(jpeg), mode="r", format="mjpeg") as picture:
            frame = next(picture.decode(video=0))
        height = max(2, round(frame.height * WIDTH / frame.width / 2) * 2)
        small = frame.reformat(WIDTH, height, "yuvj420p")
        small.pts, small.time_base = 0, Fraction(1)
        encoder = VideoCodecContext.create("mjpeg", "w")
        encoder.width, encoder.height, encoder.pix_fmt = WIDTH, height, "yuvj420p"
        encoder.time_base = Fraction(1)
        encoder.options = {"qmin": QUANTISER, "qmax": QUANTISER}
        made = b"".join(bytes(packet) for packet in [*encoder.encode(small), *encoder.encode(None)])
    except (FFmpegError, StopIteration, ValueError):
        return None
    return base64.b64encode(made).decode() if 0 < len(made) <= MOST_BYTES else None
