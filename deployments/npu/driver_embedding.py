"""Embedding models of the catalogue (ONNX, BERT family, mean pooling) on OpenVINO."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import psutil
from openvino import opset13 as ops
from tokenizers import Tokenizer

from autobot.catalogue import Catalogue
from autobot.errors import ModelNotFound, Unavailable
from autobot.settings import Settings
from deployments.npu.batcher import Tokens, Vector
from deployments.npu.driver_device import Device, precision, ran_on

SPECIAL_TOKENS = 2
"""[CLS] and [SEP] around every text."""
WARM_UP = [(1, 16), (32, 64)]
"""Batch size and tokens of the inferences before ready: the first prepare kernels and memory."""


class OpenVinoEmbeddingModels:
    """The embedding models of the catalogue that are on this machine."""

    def __init__(self, settings: Settings, device: Device) -> None:
        self._settings = settings
        self._catalogue = Catalogue(settings.cache)
        self._device = device
        # Chosen once: vectors of two models do not mix, so `default` may not change underway.
        memory = psutil.virtual_memory().total
        self._default = settings.default_embedding_model or self._catalogue.default(
            "embedding", memory
        )

    def installed(self) -> list[str]:
        return [entry.name for entry in self._catalogue.installed("embedding")]

    def resolve(self, name: str) -> str:
        entry = self._catalogue.entry(self._default if name == "default" else name)
        if entry.kind != "embedding":
            raise ModelNotFound(f"{entry.name} is a {entry.kind} model: it makes no embeddings.")
        self._catalogue.path(entry.name)
        return entry.name

    def load(self, name: str) -> "OpenVinoEmbeddingModel":
        entry = self._catalogue.entry(name)
        folder = self._catalogue.path(name)
        try:
            return OpenVinoEmbeddingModel(name, folder, entry.context or 512, self._device)
        except Exception as error:  # tokenizers raises bare Exception, OpenVINO RuntimeError
            raise Unavailable(f"{name} cannot be loaded: {error}") from error

    def facts(self) -> dict[str, Any]:
        return self._device.facts()


class OpenVinoEmbeddingModel:
    """One ONNX model with its tokenizer; pooling and normalisation run inside the graph."""

    def __init__(self, name: str, folder: Path, max_tokens: int, device: Device) -> None:
        self.name = name
        self.max_tokens = max_tokens
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # The shipped file cuts at 128 tokens and pads to as many: a silent truncation.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        model = pooled(device.core.read_model(folder / "model.onnx"))
        self._inputs = {port.get_any_name() for port in model.inputs}
        self._compiled = device.compile(model)
        self._request = self._compiled.create_infer_request()
        self.dimensions = int(self._compiled.output(0).partial_shape[1].get_length())
        self.precision = precision(self._compiled)
        for size, length in WARM_UP:
            self.embed([[0] * min(length, max_tokens)] * size)

    def device(self) -> str:
        return ran_on(self._compiled)

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return [ids if len(ids := e.ids) > SPECIAL_TOKENS else [] for e in encodings]

    def embed(self, batch: Sequence[Tokens]) -> list[Vector]:
        longest = max(map(len, batch))
        ids = np.zeros((len(batch), longest), np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        try:
            self._request.infer({name: feed[name] for name in self._inputs})
        except RuntimeError as error:
            raise Unavailable(f"OpenVINO failed on {self.name}: {error}") from error
        return [array("f", row.tobytes()) for row in self._request.get_output_tensor().data]


def pooled(model: openvino.Model) -> openvino.Model:
    """Return ``model`` with its token vectors averaged over the mask and scaled to length one.

    In: last_hidden_state f32 [batch, tokens, dimensions]. Out: f32 [batch, dimensions].
    """
    hidden = model.output("last_hidden_state").get_node().input_value(0)
    tokens = ops.constant(np.array([1], np.int64))
    mask = ops.convert(model.input("attention_mask").get_node(), "f32")
    weights = ops.unsqueeze(mask, ops.constant(np.array([2], np.int64)))
    total = ops.reduce_sum(ops.multiply(hidden, weights), tokens, False)
    mean = ops.divide(total, ops.reduce_sum(weights, tokens, False))
    scaled = ops.normalize_l2(mean, tokens, 1e-12, "max")
    model_type: Any = openvino.Model  # its stub takes another class for `self`
    return model_type([ops.result(scaled)], model.get_parameters(), "sentence_embedding")
