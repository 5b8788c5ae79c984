"""Search quality on labelled queries from Python's own documentation, per form of the model.

`retrieval/python_docs.jsonl` holds 281 questions of Python's FAQ and terms of its glossary, each
with the one passage that answers it; `retrieval/make.py` made it of Debian's python3.11-doc (Python
Software Foundation Licence, copyright the Python Software Foundation).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
from numpy.typing import NDArray

from autobot.errors import ModelNotFound, Unavailable
from autobot.settings import Settings
from deployments.npu.embeddings.driver import OpenVinoEmbeddingModels
from deployments.npu.embeddings.service import Embedder, EmbeddingModels
from deployments.npu.openvino.driver import Device
from deployments.npu.openvino.quantise import quantise
from deployments.npu.openvino.text_encoders import INT8, MANIFEST, TextEncoders
from tests.contract.npu.conftest import MODELS

Vectors = NDArray[np.float32]
ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "retrieval/python_docs.jsonl").read_text().splitlines()
]
QUERIES, PASSAGES = ([row[key] for row in ROWS] for key in ("query", "passage"))


class Exact(Device):
    """Computes in the model's own float32, whatever the processor could do faster."""

    def compile(self, model: openvino.Model, *, exact: bool = False) -> openvino.CompiledModel:
        return super().compile(model, exact=True)


class Buckets(Device):
    """Says that it needs static shapes, as an NPU does."""

    @property
    def static_shapes(self) -> bool:
        return True


@pytest.fixture(scope="module")
def int8(settings: Settings, real_models: EmbeddingModels) -> str:
    """The name of the int8 form, made on this machine when it is not there yet (half a minute)."""
    name = MODELS[0] + INT8
    try:
        TextEncoders(settings).verified(name)
    except (ModelNotFound, Unavailable):
        quantise(MODELS[0], settings)
    return name


async def vectors(models: EmbeddingModels, name: str, texts: Sequence[str]) -> Vectors:
    return np.array((await Embedder(models).embed(texts, name)).vectors)


def ndcg(scores: Vectors) -> float:
    """nDCG@10 with one relevant passage a query, the one at the query's own place."""
    ranks = (scores > scores.diagonal()[:, None]).sum(axis=1)
    return float(np.where(ranks < 10, 1 / np.log2(ranks + 2), 0).mean())


def test_the_labels_are_enough_and_differ() -> None:
    assert len(ROWS) >= 200
    assert len({row["passage"] for row in ROWS}) == len(ROWS)


async def test_int8_finds_as_well_as_float32(
    settings: Settings, int8: str, record_property: Any
) -> None:
    exact = OpenVinoEmbeddingModels(settings, Exact(settings))
    served = OpenVinoEmbeddingModels(settings, Device(settings))
    f32 = [await vectors(exact, MODELS[0], texts) for texts in (QUERIES, PASSAGES)]
    quantised = [await vectors(served, int8, texts) for texts in (QUERIES, PASSAGES)]
    good, found = ndcg(f32[0] @ f32[1].T), ndcg(quantised[0] @ quantised[1].T)
    cosine = (f32[1] * quantised[1]).sum(axis=1)
    figures = {"f32": good, "int8": found, "cosine": float(cosine.mean())}
    print({key: round(value, 4) for key, value in figures.items()})
    for key, value in figures.items():
        record_property(key, value)
    assert good > 0.8
    assert found >= 0.99 * good
    assert cosine.mean() > 0.99


async def test_an_int8_model_is_never_taken_for_the_float_one(
    settings: Settings, device: Device, int8: str
) -> None:
    models = OpenVinoEmbeddingModels(settings, device)
    assert {MODELS[0], int8} <= set(models.installed())
    assert models.resolve("default") == MODELS[0]
    assert (await Embedder(models).embed(["hello"], int8)).model == int8


async def test_int8_vectors_are_the_same_alone_and_in_a_batch(
    settings: Settings, device: Device, int8: str
) -> None:
    model = OpenVinoEmbeddingModels(settings, device).load(int8)
    texts = sorted(model.tokenise(PASSAGES[:120]), key=len)
    alone = np.array([model.embed([text])[0] for text in texts])
    paired = [model.embed(texts[at : at + 2]) for at in range(0, len(texts), 2)]
    assert (alone * np.concatenate(paired)).sum(axis=1).min() > 0.9999


def test_a_damaged_or_outdated_int8_model_is_refused(
    settings: Settings, device: Device, int8: str, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    (cache / "models").mkdir(parents=True)
    (cache / "models" / MODELS[0]).symlink_to(settings.models_dir / MODELS[0])
    folder = cache / "models" / "int8" / int8
    folder.mkdir(parents=True)
    for file in (settings.models_dir / "int8" / int8).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    copy = settings.model_copy(update={"cache": cache})
    models = OpenVinoEmbeddingModels(copy, device)
    with (folder / "model.bin").open("r+b") as weights:
        weights.seek(1000)
        weights.write(b"\xff" * 8)
    with pytest.raises(Unavailable, match=r"damaged model\.bin"):
        models.load(int8)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "source_sha256": "0"}))
    with pytest.raises(Unavailable, match="another version"):
        models.load(int8)


def test_an_int8_model_that_was_not_made_is_told_with_the_remedy(
    settings: Settings, device: Device, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / MODELS[0]).symlink_to(settings.models_dir / MODELS[0])
    models = OpenVinoEmbeddingModels(settings.model_copy(update={"cache": tmp_path}), device)
    with pytest.raises(ModelNotFound, match=f"deployments.npu.openvino.quantise {MODELS[0]}"):
        models.resolve(MODELS[0] + INT8)


async def test_buckets_of_static_shapes_give_the_same_vectors(
    settings: Settings, real_models: EmbeddingModels
) -> None:
    fixed = OpenVinoEmbeddingModels(settings, Buckets(settings))
    texts = [*QUERIES[:9], PASSAGES[0], "word " * 200]
    one = await vectors(fixed, MODELS[1], texts)
    other = await vectors(real_models, MODELS[1], texts)
    assert (one * other).sum(axis=1) == pytest.approx(1, abs=1e-3)
