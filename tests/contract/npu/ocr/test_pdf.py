"""Pages of PDF files through OCR, and the files that are made to do harm."""

import io
import zlib
from functools import cache
from typing import Any

import httpx
import pytest
from PIL import Image

from autobot.errors import Invalid, TooLarge
from deployments.npu.ocr.service import MAX_PAGES, OcrEngine, Reader
from tests.contract.npu.conftest import WRITTEN, as_file, draw


@pytest.fixture
def reader(ocr: OcrEngine) -> Reader:
    return Reader(ocr)


def pdf(*pages: Image.Image) -> bytes:
    buffer = io.BytesIO()
    first, *rest = pages
    first.save(buffer, "PDF", save_all=True, append_images=rest, resolution=100)
    return buffer.getvalue()


def one_page(content: bytes, box: str = "0 0 612 792", filters: bytes = b"") -> bytes:
    """A PDF of one page whose content stream is ``content``; readers mend the missing xref."""
    return b"".join(
        [
            b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n",
            b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n",
            f"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[{box}]/Contents 4 0 R>>endobj\n".encode(),
            b"4 0 obj<</Length %d%s>>stream\n" % (len(content), filters),
            content,
            b"\nendstream endobj\ntrailer<</Root 1 0 R/Size 5>>\n%%EOF\n",
        ]
    )


def tiff(*pages: Image.Image, **options: Any) -> bytes:
    first, *rest = pages
    return as_file(
        first.copy(), "TIFF", save_all=True, append_images=[page.copy() for page in rest], **options
    )


BLANK = Image.new("RGB", (900, 300), "white")


@pytest.mark.parametrize("document", [pdf(BLANK, draw()), tiff(BLANK, draw())], ids=["PDF", "TIFF"])
async def test_the_page_asked_for_is_read(reader: Reader, document: bytes) -> None:
    reading = await reader.read(document, page=2)
    assert reading.text.splitlines() == list(WRITTEN)
    assert (reading.first, reading.pages[0].pages) == (2, 2)
    assert (await reader.read(document, page=1)).text == ""


@pytest.mark.parametrize("kind", [pdf, tiff])
async def test_every_page_is_read_when_none_is_asked_for(reader: Reader, kind: Any) -> None:
    reading = await reader.read(kind(draw(), BLANK, draw()))
    assert [bool(page.lines) for page in reading.pages] == [True, False, True]
    assert reading.text.splitlines() == [*WRITTEN, *WRITTEN]


@pytest.mark.parametrize("kind", [pdf, tiff])
async def test_more_pages_than_are_read_at_once_are_refused_with_the_limit(
    reader: Reader, kind: Any
) -> None:
    document = kind(*[Image.new("L", (8, 8))] * (MAX_PAGES + 1))
    with pytest.raises(TooLarge, match=f"{MAX_PAGES + 1} pages; at most {MAX_PAGES}"):
        await reader.read(document)
    assert (await reader.read(document, MAX_PAGES + 1)).first == MAX_PAGES + 1


async def test_a_pages_own_size_counts(reader: Reader) -> None:
    small, wide = Image.new("1", (8, 8)), Image.new("1", (30_000, 8))
    with pytest.raises(TooLarge, match="30000 x 8"):
        await reader.read(tiff(small, wide))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
async def test_of_an_animation_the_first_picture_is_read(reader: Reader, kind: str) -> None:
    moving = as_file(draw(), kind, save_all=True, append_images=[BLANK])
    reading = await reader.read(moving)
    assert reading.text.splitlines() == list(WRITTEN)
    assert reading.pages[0].pages == 1


async def test_boxes_are_in_pixels_of_the_drawn_page(reader: Reader) -> None:
    (page,) = (await reader.read(pdf(draw()))).pages
    assert page.width / page.height == pytest.approx(3, rel=0.01)
    for line in page.lines:
        assert all(0 <= x <= page.width and 0 <= y <= page.height for x, y in line.box)


@pytest.mark.parametrize("page", [-1, 3, 10**6])
@pytest.mark.parametrize("kind", [pdf, tiff])
async def test_a_page_that_is_not_there_is_refused(reader: Reader, kind: Any, page: int) -> None:
    with pytest.raises(Invalid, match=f"2 pages; there is no page {page}"):
        await reader.read(kind(draw(), draw()), page)


async def test_an_image_has_one_page(reader: Reader) -> None:
    with pytest.raises(Invalid, match="no page 2"):
        await reader.read(as_file(draw()), 2)


@pytest.mark.parametrize(
    "broken",
    [b"%PDF-1.7", b"%PDF-1.7\n" + b"\0" * 9999, pdf(draw())[:300], one_page(b"", "0 0 0 0")],
    ids=range(4),
)
async def test_a_broken_pdf_is_refused_or_empty(reader: Reader, broken: bytes) -> None:
    try:
        reading = await reader.read(broken)
    except Invalid:
        return
    assert reading.text == ""


async def test_a_page_of_enormous_size_is_drawn_small(reader: Reader) -> None:
    (page,) = (await reader.read(one_page(b"", "0 0 10000000 10000000"))).pages
    assert max(page.width, page.height) <= 2560


@cache
def bomb() -> bytes:
    squeeze = zlib.compressobj(9)
    return b"".join(squeeze.compress(b"0 " * (1 << 24)) for _ in range(64)) + squeeze.flush()


async def test_a_page_that_inflates_without_end_is_refused(reader: Reader) -> None:
    assert len(bomb()) < 4 << 20  # and 2 GB when inflated
    with pytest.raises((TooLarge, Invalid)):
        await reader.read(one_page(bomb(), filters=b"/Filter/FlateDecode"))
    assert (await reader.read(as_file(draw()))).text


async def test_a_pdf_goes_in_over_http(client: httpx.AsyncClient) -> None:
    document = pdf(draw(), draw())
    raw = await client.post(
        "/api/ocr?page=2", content=document, headers={"content-type": "application/pdf"}
    )
    form = await client.post("/api/ocr?page=2", files={"file": ("a.pdf", document)})
    for answer in (raw, form):
        assert answer.json()["text"].splitlines() == list(WRITTEN)
        assert answer.json()["pages"] == 2
        assert [page["page"] for page in answer.json()["read"]] == [2]
        assert {line["page"] for line in answer.json()["lines"]} == {2}
    for page in ("0", "x", "99", str(10**30)):
        refused = await client.post(f"/api/ocr?page={page}", content=document)
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
