"""Pages of PDF files from strangers, drawn by PDFium. Runs in a `decoding.process`."""

from typing import Any

import numpy as np
import pypdfium2
from numpy.typing import NDArray

from autobot.errors import Invalid

POINTS_PER_INCH = 72
DPI = 200


def draw(data: bytes, page: int, longest: int) -> tuple[NDArray[np.uint8], int]:
    """Return page ``page`` (from 1) as uint8 [rows, columns, 3], BGR, and how many pages there are.

    Drawn at `DPI`, or smaller so that the longer side has at most ``longest`` pixels. Fonts that
    the file does not bring along are PDFium's own. Raises `Invalid` when the file is broken or
    encrypted or lacks the page.
    """
    try:
        document = pypdfium2.PdfDocument(data)
        if not 1 <= page <= len(document):
            raise Invalid(f"The PDF has {len(document)} pages; there is no page {page}.")
        drawn: Any = document[page - 1]
        scale = min(DPI / POINTS_PER_INCH, longest / max(1, *drawn.get_size()))
        bitmap = drawn.render(scale=scale, rev_byteorder=False, prefer_bgrx=False)
        return _coloured(bitmap.to_numpy()), len(document)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise Invalid("The PDF is encrypted: it opens only with a password.") from error
        raise Invalid(f"The PDF cannot be read: {str(error).rstrip('.')}.") from error


def warm_up() -> None:
    """Draw a page, with which PDFium looks for the system's fonts."""
    document = pypdfium2.PdfDocument.new()
    document.new_page(72, 72).render().to_numpy()
    document.close()


def _coloured(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        pixels = np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])
