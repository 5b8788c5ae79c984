"""Late interaction over the token vectors of an embedding model.

No package of the registries carries a cross-encoder (docs/decisions/embeddings.md), so a score is
made of what the embedding models give: each word of the query looks for the most similar word of
the document (MaxSim, Khattab and Zaharia 2020), and both texts' mean vectors are compared. The
mean of the two ranks better than either alone.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autobot.errors import ModelNotFound, Unavailable
from autobot.settings import Settings
from deployments.npu.batching.batcher import Tokens
from deployments.npu.embeddings.driver import token_vectors
from deployments.npu.openvino.driver import Device
from deployments.npu.openvino.encoder import Encoder
from deployments.npu.openvino.text_encoders import Found, TextEncoders
from deployments.npu.rerank.service import Passage

PREFERRED = "all-minilm-l6-v2"
"""Half the layers of gte-small, and a second opinion on what gte-small has found."""
Vectors = NDArray[np.float32]


class OpenVinoRerankModels:
    """The embedding models on this machine, used for reranking."""

    def __init__(self, settings: Settings, device: Device) -> None:
        self._encoders = TextEncoders(settings)
        self._device = device

    def installed(self) -> list[str]:
        return self._encoders.installed()

    def resolve(self, name: str) -> str:
        return self._encoders.find(self._default() if name == "default" else name).name

    def load(self, name: str) -> "LateInteraction":
        found = self._encoders.verified(name)
        try:
            return LateInteraction(found, self._device)
        except Exception as error:  # tokenizers raises bare Exception, OpenVINO RuntimeError
            raise Unavailable(f"{name} cannot be loaded: {error}") from error

    def facts(self) -> dict[str, Any]:
        return self._device.facts()

    def _default(self) -> str:
        # Scores of one answer are compared with each other only, so this may change underway.
        try:
            return self._encoders.find(PREFERRED).name
        except ModelNotFound:
            return self._encoders.default


class LateInteraction(Encoder):
    """One embedding model; scores are cosines, so between -1 and 1."""

    method = "late interaction: mean of MaxSim and the cosine of mean vectors"

    def __init__(self, found: Found, device: Device) -> None:
        super().__init__(found.name, found.folder, found.max_tokens, device, token_vectors)

    def score(self, passages: Sequence[Passage]) -> list[float]:
        queries = list({id(passage.query): passage.query for passage in passages}.values())
        asked = dict(zip(map(id, queries), self._read(queries), strict=True))
        scores: list[float] = []
        start = 0
        for means, tokens in self.run([passage.document for passage in passages]):
            for passage, mean, vectors in zip(passages[start:], means, tokens, strict=False):
                query_mean, query_vectors = asked[id(passage.query)]
                nearest = (vectors[: len(passage)] @ query_vectors.T).max(axis=0)
                scores.append(float(nearest.mean() + query_mean @ mean) / 2)
            start += len(means)
        return scores

    def _read(self, texts: Sequence[Tokens]) -> list[tuple[Vectors, Vectors]]:
        """Return each text's mean vector [dimensions] and token vectors [tokens, dimensions]."""
        read = [
            (mean.copy(), vectors.copy())
            for means, tokens in self.run(texts)
            for mean, vectors in zip(means, tokens, strict=True)
        ]
        return [(m, v[: len(text)]) for text, (m, v) in zip(texts, read, strict=True)]
