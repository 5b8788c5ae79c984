"""Image files and pages of PDF files from strangers, decoded in a process with limits."""

import numpy as np
from numpy.typing import NDArray

from autobot.errors import Invalid
from autobot.sandbox import Limits
from deployments.npu.decoding.decoder import Decoder
from deployments.npu.ocr.service import Picture

PICTURES = Limits(memory=768 << 20, cpu_s=20, wall_s=40)
MAX_FITTED_BYTES = 2560 * 2560 * 3


class Pictures:
    """Image files and pages of PDF files."""

    def __init__(self, limits: Limits = PICTURES) -> None:
        self._decoder = Decoder("deployments.npu.ocr.image", limits)
        self.facts, self.close = self._decoder.facts, self._decoder.close

    def decode(self, data: bytes, page: int = 1) -> Picture:
        """Read page ``page`` (from 1) as `ocr.image.decode` does; raise what it raises."""
        told, body = self._decoder.decode(data, MAX_FITTED_BYTES, {"page": page})
        try:
            pixels: NDArray[np.uint8] = np.frombuffer(body, np.uint8).reshape(*told["shape"], 3)
            width, height, pages = (int(told[size]) for size in ("width", "height", "pages"))
            return Picture(pixels, width, height, float(told["scale"]), pages)
        except (KeyError, TypeError, ValueError) as error:  # no decoder of ours says such a thing
            raise Invalid("The file makes its decoder answer nonsense.") from error
