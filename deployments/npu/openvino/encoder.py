"""BERT-like encoders with their tokenizer on OpenVINO: token ids in, a graph's outputs out."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import openvino
from numpy.typing import NDArray
from tokenizers import Tokenizer

from autobot.errors import Unavailable
from deployments.npu.batching.batcher import Tokens
from deployments.npu.batching.buckets import Chunk, dynamic, shapes, static
from deployments.npu.openvino.driver import Device, precision, ran_on

SPECIAL_TOKENS = 2
"""[CLS] and [SEP] around every text."""
WARM_UP = [(1, 16), (32, 64)]
"""Batch size and tokens of the inferences before ready: the first prepare kernels and memory."""


class Encoder:
    """One model, ``folder``'s ``model.xml`` or ``model.onnx``, with ``graph`` built on top of it.

    `run` and what depends on it is for one thread at a time.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        max_tokens: int,
        device: Device,
        graph: Callable[[openvino.Model], openvino.Model],
    ) -> None:
        self.name = name
        self.max_tokens = max_tokens
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # The shipped file cuts at 128 tokens and pads to as many: a silent truncation.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        file = next(f for f in (folder / "model.xml", folder / "model.onnx") if f.exists())
        model = graph(device.core.read_model(file))
        self._inputs = {port.get_any_name() for port in model.inputs}
        self._static = device.static_shapes
        forms = shapes(max_tokens) if self._static else [None]
        # bf16 around int8 tips single texts over a rounding edge with the shape of their batch.
        exact = file.suffix == ".xml"
        compiled = {form: device.compile(_shaped(model, form), exact=exact) for form in forms}
        self._compiled = next(iter(compiled.values()))
        self._requests = {form: made.create_infer_request() for form, made in compiled.items()}
        self.precision = precision(self._compiled)
        for size, length in WARM_UP:
            list(self.run([[0] * min(length, max_tokens)] * size))

    @property
    def dimensions(self) -> int:
        """Of the first output's vectors."""
        shape = self._compiled.output(0).partial_shape
        return int(shape[len(shape) - 1].get_length())

    def device(self) -> str:
        """Return what OpenVINO says executes the model now: AUTO may move it later."""
        return ran_on(self._compiled)

    def tokenise(self, texts: Sequence[str]) -> list[list[int]]:
        encodings = self._tokenizer.encode_batch_fast(list(texts))
        return [ids if len(ids := e.ids) > SPECIAL_TOKENS else [] for e in encodings]

    def run(self, batch: Sequence[Tokens]) -> Iterator[list[NDArray[np.float32]]]:
        """Yield the graph's outputs, a row for each text: all at once, or in chunks on an NPU.

        They are views: valid until the next is asked for.
        """
        lengths = [len(tokens) for tokens in batch]
        for chunk in static(lengths, self.max_tokens) if self._static else dynamic(lengths):
            request = self._requests[chunk.shape if self._static else None]
            feed = _padded(batch[chunk.start : chunk.stop], chunk)
            try:
                request.infer({name: feed[name] for name in self._inputs})
            except RuntimeError as error:
                raise Unavailable(f"OpenVINO failed on {self.name}: {error}") from error
            rows = chunk.stop - chunk.start
            yield [tensor.data[:rows] for tensor in request.output_tensors]


def _padded(texts: Sequence[Tokens], chunk: Chunk) -> dict[str, NDArray[np.int64]]:
    ids = np.zeros(chunk.shape, np.int64)
    mask = np.zeros_like(ids)
    for row, tokens in enumerate(texts):
        ids[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    mask[len(texts) :, 0] = 1  # a row without any token would divide by zero
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def _shaped(model: openvino.Model, form: tuple[int, int] | None) -> openvino.Model:
    if form is None:
        return model
    fixed = model.clone()
    fixed.reshape({port: list(form) for port in fixed.inputs})
    return fixed
