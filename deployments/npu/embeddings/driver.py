"""Embedding models of the catalogue (ONNX, BERT family, mean pooling) on OpenVINO."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

from autobot.errors import Unavailable
from autobot.settings import Settings
from deployments.npu.batching.batcher import Tokens, Vector
from deployments.npu.openvino.driver import Device
from deployments.npu.openvino.encoder import Encoder
from deployments.npu.openvino.text_encoders import TextEncoders


class OpenVinoEmbeddingModels:
    """The embedding models that are on this machine."""

    def __init__(self, settings: Settings, device: Device) -> None:
        self._encoders = TextEncoders(settings)
        self._device = device

    def installed(self) -> list[str]:
        return self._encoders.installed()

    def resolve(self, name: str) -> str:
        return self._encoders.find(self._encoders.default if name == "default" else name).name

    def load(self, name: str) -> "OpenVinoEmbeddingModel":
        found = self._encoders.verified(name)
        try:
            return OpenVinoEmbeddingModel(found.name, found.folder, found.max_tokens, self._device)
        except Exception as error:  # tokenizers raises bare Exception, OpenVINO RuntimeError
            raise Unavailable(f"{name} cannot be loaded: {error}") from error

    def facts(self) -> dict[str, Any]:
        return self._device.facts()


class OpenVinoEmbeddingModel(Encoder):
    """One model with its tokenizer; pooling and normalisation run inside the graph."""

    def __init__(self, name: str, folder: Path, max_tokens: int, device: Device) -> None:
        super().__init__(name, folder, max_tokens, device, pooled)

    def embed(self, batch: Sequence[Tokens]) -> list[Vector]:
        return [array("f", row.tobytes()) for (rows,) in self.run(batch) for row in rows]


def pooled(model: openvino.Model) -> openvino.Model:
    """Return ``model`` with its token vectors averaged over the mask and scaled to length one.

    In: last_hidden_state f32 [batch, tokens, dimensions]. Out: f32 [batch, dimensions].
    """
    hidden = model.output("last_hidden_state").get_node().input_value(0)
    return _model([ops.result(unit_mean(model, hidden))], model, "sentence_embedding")


def token_vectors(model: openvino.Model) -> openvino.Model:
    """Return ``model`` with the mean of `pooled` and, second, each token's vector of length one.

    Out: f32 [batch, dimensions], f32 [batch, tokens, dimensions].
    """
    hidden = model.output("last_hidden_state").get_node().input_value(0)
    last = ops.constant(np.array([2], np.int64))
    tokens = ops.normalize_l2(hidden, last, 1e-12, "max")
    return _model([ops.result(unit_mean(model, hidden)), ops.result(tokens)], model, "tokens")


def unit_mean(model: openvino.Model, hidden: Any) -> Any:
    """Return the mean of ``hidden`` over the texts' own tokens, scaled to length one.

    In: f32 [batch, tokens, dimensions]. Out: f32 [batch, dimensions]. Padding does not count.
    """
    tokens = ops.constant(np.array([1], np.int64))
    mask = ops.convert(model.input("attention_mask").get_node(), "f32")
    weights = ops.unsqueeze(mask, ops.constant(np.array([2], np.int64)))
    total = ops.reduce_sum(ops.multiply(hidden, weights), tokens, False)
    mean = ops.divide(total, ops.reduce_sum(weights, tokens, False))
    return ops.normalize_l2(mean, tokens, 1e-12, "max")


def _model(results: list[Any], model: openvino.Model, name: str) -> openvino.Model:
    make: Any = openvino.Model  # its stub takes another class for `self`
    return make(results, model.get_parameters(), name)
