"""What every OCR engine must do."""

import asyncio
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from autobot.errors import Busy, Invalid, TooLarge
from deployments.npu.ocr.service import MAX_IMAGE_BYTES, Box, OcrEngine, Reader
from tests.contract.npu.conftest import WRITTEN, as_file, draw


@pytest.fixture
def reader(ocr: OcrEngine) -> Reader:
    return Reader(ocr)


async def test_rendered_text_is_read_back(reader: Reader) -> None:
    reading = await reader.read(as_file(draw()))
    assert reading.text.splitlines() == list(WRITTEN)
    assert all(0.8 < line.confidence <= 1 for line in reading.pages[0].lines)


async def test_boxes_surround_the_ink(reader: Reader) -> None:
    image = draw()
    (page,) = (await reader.read(as_file(image))).pages
    assert (page.width, page.height) == image.size
    for line, middle in zip(page.lines, (75, 225), strict=True):
        left, top, right, bottom = bounds(line.box)
        assert left == pytest.approx(40, abs=15)
        assert 40 < right <= image.width
        assert top < middle < bottom
        assert bottom - top < 75


async def test_boxes_of_a_shrunken_image_are_in_its_own_pixels(reader: Reader) -> None:
    image = draw(size=(4500, 1500))
    (page,) = (await reader.read(as_file(image))).pages
    assert [line.text for line in page.lines] == list(WRITTEN)
    assert (page.width, page.height) == image.size
    _, top, right, bottom = bounds(page.lines[1].box)
    assert 750 < top < 1125 < bottom < 1500
    assert right > 1500


@pytest.mark.parametrize(
    ("mode", "kind", "options"),
    [
        ("1", "PNG", {}),
        ("L", "BMP", {}),
        ("LA", "PNG", {}),
        ("P", "GIF", {}),
        ("RGBA", "PNG", {}),
        ("RGB", "WEBP", {"quality": 90}),
        ("CMYK", "JPEG", {"quality": 95}),
        ("I;16", "PNG", {}),
        ("F", "TIFF", {}),
    ],
)
async def test_every_usual_format_is_read(
    reader: Reader, mode: str, kind: str, options: dict[str, Any]
) -> None:
    image = deep(draw(), mode) if mode in ("I;16", "F") else draw().convert(mode)
    reading = await reader.read(as_file(image, kind, **options))
    assert reading.text.splitlines() == list(WRITTEN)


async def test_dark_text_on_a_transparent_page_is_read(reader: Reader) -> None:
    image = Image.new("RGBA", draw().size, (0, 0, 0, 0))  # black under the transparency too
    image.putalpha(draw().convert("L").point(lambda value: 255 - value))
    assert (await reader.read(as_file(image))).text.splitlines() == list(WRITTEN)


async def test_a_photo_taken_sideways_is_read_upright(reader: Reader) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees to the right to see it upright
    sideways = draw().transpose(Image.Transpose.ROTATE_90)
    reading = await reader.read(as_file(sideways, "JPEG", quality=95, exif=exif.tobytes()))
    assert reading.text.splitlines() == list(WRITTEN)
    assert (reading.pages[0].width, reading.pages[0].height) == draw().size


@pytest.mark.parametrize("size", [(200, 200), (1, 1), (3, 700), (700, 3), (20_000, 1), (1, 20_000)])
async def test_an_image_without_text_has_no_lines(reader: Reader, size: tuple[int, int]) -> None:
    reading = await reader.read(as_file(Image.new("RGB", size, "white")))
    assert reading.text == ""
    assert reading.pages[0].lines == []


WHOLE = as_file(draw())


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0" * 64,
        b"%PDF-1.7 not an image",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        WHOLE[:40],
        WHOLE[: len(WHOLE) // 2],
        WHOLE.replace(b"IDAT", b"IDAX", 1),
        as_file(draw(), "JPEG")[:200],
        as_file(draw(), "GIF")[:50],
        as_file(draw(), "TIFF")[:100],
    ],
    ids=range(11),
)
async def test_a_broken_image_is_refused(reader: Reader, broken: bytes) -> None:
    with pytest.raises(Invalid):
        await reader.read(broken)
    assert (await reader.read(WHOLE)).text


@pytest.mark.parametrize("size", [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (20_001, 1)])
async def test_a_decompression_bomb_is_refused_unread(
    reader: Reader, size: tuple[int, int]
) -> None:
    with pytest.raises(TooLarge, match="pixels"):
        await reader.read(bomb(*size))


async def test_too_many_bytes_are_refused_with_both_numbers(reader: Reader) -> None:
    with pytest.raises(TooLarge, match=f"{MAX_IMAGE_BYTES + 1}.*{MAX_IMAGE_BYTES}"):
        await reader.read(b"\0" * (MAX_IMAGE_BYTES + 1))


async def test_callers_wait_in_line_and_too_many_are_refused(ocr: OcrEngine) -> None:
    reader = Reader(ocr, waiting=2)
    answers = await asyncio.gather(*(reader.read(WHOLE) for _ in range(5)), return_exceptions=True)
    assert [type(answer) for answer in answers[3:]] == [Busy, Busy]
    assert all(not isinstance(answer, BaseException) for answer in answers[:3])
    assert (await reader.read(WHOLE)).text


async def test_answers_and_facts_name_the_same_device(reader: Reader) -> None:
    reading = await reader.read(WHOLE)
    facts = await reader.facts()
    assert reading.device == facts["device"] != ""
    assert facts["models"] == [reading.model]
    assert reading.milliseconds > 0


def bounds(box: Box) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of a box that stands upright, give or take a few pixels."""
    top_left, top_right, bottom_right, bottom_left = box
    for one, other, axis in (
        (top_left, bottom_left, 0),
        (top_right, bottom_right, 0),
        (top_left, top_right, 1),
        (bottom_left, bottom_right, 1),
    ):
        assert one[axis] == pytest.approx(other[axis], abs=10)
    return (*top_left, *bottom_right)


def deep(image: Image.Image, mode: str) -> Image.Image:
    """Grey values of 0 to 65535, or fractions of 0 to 1, as scanners and cameras save them."""
    grey = np.asarray(image.convert("L"))
    values = grey.astype(np.uint16) * 257 if mode == "I;16" else grey.astype(np.float32) / 255
    return Image.fromarray(values)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + header + data + chunk(b"IEND", b"")
