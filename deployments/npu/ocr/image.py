"""Images and PDF pages from strangers: read with limits, or refused with the reason.

Runs in a `decoding.process`, which bounds what a file can cost. What an ordinary picture of the
largest size needs stays far below that bound: deep and transparent ones are shrunk first.
"""

import io
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from autobot.errors import Invalid, TooLarge
from deployments.npu.ocr import pdf
from deployments.npu.ocr.service import Picture

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""No format that runs a program (EPS) or is read by rarely used code."""
PAGED = "TIFF"
"""The frames of any other format are an animation or previews: the first is the picture."""
MAX_PIXELS = 40_000_000
MAX_SIDE = 20_000
FITTED_SIDE = 2560
"""Larger pictures are shrunk to this many pixels on the longer side before they are read."""
MAX_ASPECT = 4
"""Narrower pictures get a margin. The text detector enlarges the shorter side to 736 pixels, so an
image of 20000 x 1 would otherwise become one of millions of pixels."""


def decode(data: bytes, page: int) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Return what `picture` reads, as facts and pixels."""
    found = picture(data, page)
    facts = {
        "shape": found.pixels.shape[:2],
        "width": found.width,
        "height": found.height,
        "scale": found.scale,
        "pages": found.pages,
    }
    return facts, found.pixels


def warm_up() -> None:
    """Read one picture of each format, so that nothing is left to be imported or opened."""
    Image.init()
    for kind in FORMATS:
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, kind)
        picture(file.getvalue())
    pdf.warm_up()


def picture(data: bytes, page: int = 1) -> Picture:
    """Read page ``page`` (from 1) of a TIFF or PDF file, or the only one of another image.

    Raises `TooLarge` before a pixel is decoded when the header promises too many, `Invalid` when
    the bytes are no image of a supported format, the image is broken or lacks the page.
    """
    if not data:
        raise Invalid("The image is empty.")
    if b"%PDF-" in data[:1024]:  # where PDF readers look for it
        pixels, pages = pdf.draw(data, page, FITTED_SIDE)
        return replace(_margined(pixels, 1.0), pages=pages)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            pages = _turn_to(image, page)
            _check_size(image)
            return replace(_read(image), pages=pages)
    except (Invalid, TooLarge, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise TooLarge(f"The image has too many pixels: {error}") from error
    except Exception as error:  # Pillow's decoders fail in too many ways to list on broken files
        raise Invalid(f"The image cannot be read: {_reason(error)}.") from error


def _turn_to(image: Image.Image, page: int) -> int:
    """Make ``page`` the one that is read; return how many there are."""
    if image.format != PAGED:
        if page != 1:
            raise Invalid(f"An image has one page; there is no page {page}.")
        return 1
    pages = int(getattr(image, "n_frames", 1))
    if not 1 <= page <= pages:
        raise Invalid(f"The TIFF has {pages} pages; there is no page {page}.")
    image.seek(page - 1)
    return pages


def _check_size(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise TooLarge(
            f"The image is {width} x {height} pixels; at most {MAX_PIXELS} pixels and "
            f"{MAX_SIDE} a side are read."
        )


def _read(image: Image.Image) -> Picture:
    ImageOps.exif_transpose(image, in_place=True)  # a copy of every upright picture otherwise
    width, height = image.size
    scale = max(1.0, max(width, height) / FITTED_SIDE)
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    plain = _without_palette(image)
    small = plain if scale == 1 else plain.resize(size, Image.Resampling.LANCZOS)
    fitted = _margined(np.asarray(_rgb(small))[:, :, ::-1], scale)
    return replace(fitted, width=width, height=height)


def _without_palette(image: Image.Image) -> Image.Image:
    """Pixels that can be averaged with their neighbours."""
    if image.has_transparency_data and image.mode not in ("RGBA", "LA"):
        return image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGB") if image.mode in ("P", "PA") else image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        image = _eight_bits(image)
    if image.mode in ("RGBA", "LA"):
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Stretch a deep grey image to 0..255: Pillow's own conversion clips it to white."""
    values: NDArray[Any] = np.nan_to_num(np.asarray(image, np.float64))
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return Image.fromarray(scaled.astype(np.uint8))


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
