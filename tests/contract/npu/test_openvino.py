"""What only the real drivers can show: right numbers, the true device, no network."""

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from tokenizers import Tokenizer

from autobot.errors import ModelNotFound, Unavailable
from autobot.settings import Settings
from deployments.npu.embeddings.driver import OpenVinoEmbeddingModels
from deployments.npu.embeddings.service import Embedder, EmbeddingModels
from deployments.npu.ocr.driver import RapidOcrEngine
from deployments.npu.ocr.pictures import Pictures
from deployments.npu.ocr.service import OcrEngine
from deployments.npu.openvino.driver import Device
from tests import parts
from tests.contract.npu.conftest import MODELS, WRITTEN, as_file, draw

TEXTS = [
    "AutoBot is a self-hosted AI automation platform.",
    "a",
    "Ünïcödé, 中文, emoji 🙂🙃, tabs\tand\nlines",
    "antidisestablishmentarianism " * 20,
    "def add(a: int, b: int) -> int:\n    return a + b",
    "x" * 300,
]


def reference(folder: Path, text: str) -> np.ndarray[Any, Any]:
    """One text through onnxruntime in float32, pooled here: mean over all tokens, length one."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    ids = np.array([tokenizer.encode(text).ids], np.int64)
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"))
    feed = {"input_ids": ids, "attention_mask": ids * 0 + 1, "token_type_ids": ids * 0}
    (hidden,) = session.run(None, feed)
    mean = np.asarray(hidden)[0].mean(axis=0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("name", MODELS)
async def test_vectors_are_those_of_onnxruntime(
    real_models: EmbeddingModels, settings: Settings, name: str
) -> None:
    folder = parts.path(name)
    embedded = await Embedder(real_models).embed(TEXTS, name)
    for text, vector in zip(TEXTS, embedded.vectors, strict=True):
        assert float(np.dot(reference(folder, text), np.array(vector))) >= 0.9999


async def test_facts_say_what_was_asked_for_and_why_it_fell_back(
    real_models: EmbeddingModels, device: Device
) -> None:
    facts = await Embedder(real_models).facts()
    available = device.core.available_devices
    assert facts["requested_device"] == "AUTO:NPU,CPU"
    assert facts["available_devices"] == available
    assert facts["engine"].startswith("openvino 20")
    if "NPU" in available:
        assert "fallback" not in facts
    else:
        assert facts["device"] == "CPU"
        assert "NPU" in facts["fallback"]


def test_a_device_that_is_demanded_and_absent_is_an_error(device: Device) -> None:
    absent = next(name for name in ("NPU", "GPU") if name not in device.core.available_devices)
    with pytest.raises(Unavailable, match=absent):
        Device(Settings(npu_device=absent))


async def test_a_missing_default_model_is_told_with_the_remedy(
    tmp_path: Path, device: Device
) -> None:
    settings = Settings(cache=tmp_path, default_embedding_model=MODELS[0])
    embedder = Embedder(OpenVinoEmbeddingModels(settings, device))
    with pytest.raises(ModelNotFound, match=f"autobot models pull {MODELS[0]}"):
        await embedder.facts()


def test_a_chat_model_makes_no_embeddings(settings: Settings, device: Device) -> None:
    models = OpenVinoEmbeddingModels(settings, device)
    with pytest.raises(ModelNotFound, match="chat model"):
        models.resolve("smollm2-135m-instruct")


def test_ocr_looks_for_nothing_on_the_network(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError(f"OCR opened a connection: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with contextlib.closing(Pictures()) as pictures:
        page = RapidOcrEngine(device, pictures).read(as_file(draw()))
    assert [line.text for line in page.lines] == list(WRITTEN)


def test_a_dense_page_is_read_line_by_line(real_ocr: OcrEngine) -> None:
    lines = [f"{n}. The quick brown fox jumps over lazy dog {n * 7}" for n in range(1, 13)]
    page = real_ocr.read(as_file(draw(lines, size=(1200, 240 * 4), font_size=28)))
    assert similar([line.text for line in page.lines], lines) > 0.97


def test_upside_down_text_is_read(real_ocr: OcrEngine) -> None:
    page = real_ocr.read(as_file(draw().rotate(180)))
    assert {line.text for line in page.lines} == set(WRITTEN)


def similar(read: Sequence[str], written: Sequence[str]) -> float:
    """Share of the written characters that stand at the right place."""
    pairs = zip("\n".join(read), "\n".join(written), strict=False)
    return sum(one == other for one, other in pairs) / len("\n".join(written))
