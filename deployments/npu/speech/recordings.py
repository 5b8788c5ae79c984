"""Audio files from strangers, decoded in a process with limits."""

import numpy as np

from autobot.errors import BadRequest
from autobot.sandbox import Limits
from deployments.npu.decoding.decoder import Decoder
from deployments.npu.speech.service import RATE, Samples

RECORDINGS = Limits(memory=512 << 20, cpu_s=60, wall_s=120)
SAMPLE_BYTES = 2


class Recordings:
    """Audio files."""

    def __init__(self, limits: Limits = RECORDINGS) -> None:
        self._decoder = Decoder("deployments.npu.speech.audio", limits)
        self.facts, self.close = self._decoder.facts, self._decoder.close

    def decode(self, data: bytes, most_seconds: int) -> Samples:
        """Read samples as `speech.audio.decode` does; raise what it raises."""
        most_bytes = (most_seconds + 1) * RATE * SAMPLE_BYTES
        _, body = self._decoder.decode(data, most_bytes, {"most_seconds": most_seconds})
        if len(body) % SAMPLE_BYTES:
            raise BadRequest("The file makes its decoder answer nonsense.")
        return np.frombuffer(body, np.int16)
