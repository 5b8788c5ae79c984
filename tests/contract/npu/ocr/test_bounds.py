"""What reading one page may cost, however much is on it."""

import resource

import numpy as np
import pytest
from PIL import Image, ImageDraw

from autobot.errors import TooLarge
from autobot.settings import Settings
from deployments.npu.ocr import driver as driver_ocr
from deployments.npu.ocr.driver import RapidOcrEngine
from deployments.npu.ocr.pictures import Pictures
from deployments.npu.openvino.driver import Device
from tests.contract.npu.conftest import WRITTEN, as_file, draw


@pytest.fixture(scope="module")
def engine() -> RapidOcrEngine:
    return RapidOcrEngine(Device(Settings()), Pictures())


def long_lines(count: int) -> bytes:
    """Rows of letters a few pixels high, from edge to edge."""
    image = Image.new("L", (2560, count * 24 + 40), 255)
    drawn = ImageDraw.Draw(image)
    for row in range(count):
        drawn.text((0, 20 + row * 24), "milliwatt " * 60, fill=0)
    return as_file(image)


@pytest.mark.timeout(120)
def test_a_page_that_is_all_text_is_refused_and_the_next_one_is_read(
    engine: RapidOcrEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_ocr, "MOST_COLUMNS", 8000)
    with pytest.raises(TooLarge, match="in parts"):
        engine.read(long_lines(12))
    for _ in range(2):
        assert [line.text for line in engine.read(as_file(draw())).lines] == list(WRITTEN)


@pytest.mark.timeout(120)
def test_long_lines_take_the_memory_of_one(engine: RapidOcrEngine) -> None:
    engine.read(as_file(draw()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    dots = np.random.default_rng(0)
    page = np.full((240, 2560), 255, np.uint8)
    for top in range(20, 236, 36):
        page[top : top + 5, 80:2480] = (dots.random((5, 2400)) > 0.5) * 255
    engine.read(as_file(Image.fromarray(page)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 900 << 10
