"""Images and PDF pages from strangers: read with limits, or refused with the reason."""

import io
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from autobot.errors import Invalid, TooLarge
from deployments.npu import driver_pdf

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""No format that runs a program (EPS) or is read by rarely used code."""
MAX_PIXELS = 40_000_000
MAX_SIDE = 20_000
FITTED_SIDE = 2560
"""Larger pictures are shrunk to this many pixels on the longer side before they are read."""
MAX_ASPECT = 4
"""Narrower pictures get a margin. The text detector enlarges the shorter side to 736 pixels, so an
image of 20000 x 1 would otherwise become one of millions of pixels."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright picture, transparency laid over white.

    ``pixels``: uint8 [rows, columns, 3] in BGR order, fitted for reading. ``width`` and ``height``
    are the picture's own; one fitted pixel is ``scale`` of its pixels. A margin, if any, is on the
    right and below, so coordinates only need scaling.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    scale: float
    pages: int = 1


def decode(data: bytes, page: int = 1) -> Picture:
    """Read the first frame of an image file, or page ``page`` (from 1) of a PDF file.

    Raises `TooLarge` before a pixel is decoded when the header promises too many, `Invalid` when
    the bytes are no image of a supported format or the image is broken.
    """
    if not data:
        raise Invalid("The image is empty.")
    if b"%PDF-" in data[:1024]:  # where PDF readers look for it
        pixels, pages = driver_pdf.draw(data, page, FITTED_SIDE)
        return replace(_margined(pixels, 1.0), pages=pages)
    if page != 1:
        raise Invalid(f"An image has one page; there is no page {page}.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image)
            upright = _upright_rgb(image)
            return _fitted(upright)
    except TooLarge:
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"The image has too many pixels: {error}") from error
    except Exception as error:  # Pillow's decoders fail in too many ways to list on broken files
        raise Invalid(f"The image cannot be read: {_reason(error)}.") from error


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise TooLarge(
            f"The image is {width} x {height} pixels; at most {MAX_PIXELS} pixels and "
            f"{MAX_SIDE} a side are read."
        )


def _upright_rgb(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image)
    if upright.mode in ("I", "F"):
        upright = _eight_bits(upright)
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return upright.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Stretch a deep grey image to 0..255: Pillow's own conversion clips it to white."""
    values: NDArray[Any] = np.nan_to_num(np.asarray(image, np.float64))
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(scaled.astype(np.uint8))


def _fitted(image: Image.Image) -> Picture:
    scale = max(1.0, max(image.size) / FITTED_SIDE)
    size = (max(1, round(image.width / scale)), max(1, round(image.height / scale)))
    small = image if scale == 1 else image.resize(size, Image.Resampling.LANCZOS)
    picture = _margined(np.asarray(small)[:, :, ::-1], scale)
    return replace(picture, width=image.width, height=image.height)


def _margined(pixels: NDArray[np.uint8], scale: float) -> Picture:
    height, width = pixels.shape[:2]
    margin = -(-max(height, width) // MAX_ASPECT)
    fitted = np.empty((max(height, margin), max(width, margin), 3), np.uint8)
    fitted[:] = _paper(pixels)
    fitted[:height, :width] = pixels
    return Picture(fitted, width, height, scale)


def _paper(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The usual colour of the outermost pixels: a margin of it adds no edge that looks like ink."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(border, axis=0).astype(np.uint8)


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return f"it is none of {', '.join(FORMATS)}, PDF"
    return str(error).rstrip(".") or type(error).__name__
