"""Pages of PDF files from strangers, drawn by PDFium in a process of its own.

A page can be made to take all memory, to take for ever, or to crash the renderer; in its own
process that costs one request and not the room. Run as a module this file is that process: a PDF on
stdin, the page's number as the argument, `HEADER` and BGR bytes on stdout.
"""

import resource
import struct
import subprocess
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autobot.errors import Invalid, TooLarge

SECONDS = 20
MEMORY = 1 << 30
POINTS_PER_INCH = 72
DPI = 200
HEADER = struct.Struct("<iii")
"""Rows, columns, pages of the file."""
NO_SUCH_PAGE, ENCRYPTED, BROKEN = 3, 4, 5


def draw(data: bytes, page: int, longest: int) -> tuple[NDArray[np.uint8], int]:
    """Return page ``page`` (from 1) as uint8 [rows, columns, 3], BGR, and how many pages there are.

    Drawn at `DPI`, or smaller so that the longer side has at most ``longest`` pixels. Raises
    `Invalid` when the file is broken or encrypted or lacks the page, `TooLarge` when drawing takes
    more than `SECONDS` or `MEMORY`.
    """
    command = [sys.executable, "-m", __spec__.name, str(page), str(longest)]
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=SECONDS * 2, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TooLarge(f"Page {page} takes longer than {SECONDS} s to draw.") from error
    if done.returncode == NO_SUCH_PAGE:
        raise Invalid(f"The PDF has {done.stdout.decode()} pages; there is no page {page}.")
    if done.returncode == ENCRYPTED:
        raise Invalid("The PDF is encrypted: it opens only with a password.")
    if done.returncode == BROKEN:
        raise Invalid(f"The PDF cannot be read: {done.stdout.decode()}.")
    if done.returncode:  # killed by a limit, or by its own crash
        raise TooLarge(f"Page {page} takes too much memory or time to draw.")
    rows, columns, pages = HEADER.unpack_from(done.stdout)
    pixels = np.frombuffer(done.stdout, np.uint8, offset=HEADER.size)
    return pixels.reshape(rows, columns, 3), pages


def _child(page: int, longest: int) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(sys.stdin.buffer.read())
        if not 1 <= page <= len(document):
            sys.stdout.write(str(len(document)))
            return NO_SUCH_PAGE
        drawn: Any = document[page - 1]
        scale = min(DPI / POINTS_PER_INCH, longest / max(1, *drawn.get_size()))
        bitmap = drawn.render(scale=scale, rev_byteorder=False, prefer_bgrx=False)
        pixels = bitmap.to_numpy()
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            return ENCRYPTED
        sys.stdout.write(str(error).rstrip("."))
        return BROKEN
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    pixels = np.ascontiguousarray(pixels[:, :, :3])
    rows, columns = pixels.shape[:2]
    sys.stdout.buffer.write(HEADER.pack(rows, columns, len(document)))
    sys.stdout.buffer.write(pixels.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(_child(int(sys.argv[1]), int(sys.argv[2])))
