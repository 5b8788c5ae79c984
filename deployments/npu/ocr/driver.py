"""PP-OCR models, which come inside the rapidocr package, on OpenVINO."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rapidocr
from numpy.typing import NDArray

from autobot.errors import AutoBotError, TooLarge, Unavailable
from deployments.npu.ocr.pictures import Pictures
from deployments.npu.ocr.service import Box, Line, Page, Picture
from deployments.npu.openvino.driver import Device, precision, ran_on

MODEL = "pp-ocrv6-small"
MODEL_FILES = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}


MOST_COLUMNS = 600_000
"""Of the lines of one page, scaled to the height that is read: two and a half pages of a hundred
lines with a hundred letters. Nobody else's page is read meanwhile, for a minute at most."""


class _Session:
    """An inference session on our device, in place of rapidocr's own, which knows only the CPU."""

    def __init__(self, file: Path, device: Device) -> None:
        self.compiled = device.compile(device.core.read_model(file))
        self._request = self.compiled.create_infer_request()
        self.columns = 0
        """That were read since somebody set this to zero."""

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self.columns += batch.shape[0] * batch.shape[3]
        if self.columns > MOST_COLUMNS:
            raise TooLarge("The page has more text than is read at once. Send it in parts.")
        self._request.infer([batch])
        return self._request.get_output_tensor().data


class RapidOcrEngine:
    """Detection, orientation and recognition; `read` is for one thread at a time.

    The first `read` loads the models, for three seconds or so: at a start of the platform the
    processor has more urgent things to do.
    """

    model = MODEL

    def __init__(self, device: Device, pictures: Pictures) -> None:
        self._device = device
        self._pictures = pictures
        self._sessions: dict[str, _Session] = {}

    def device(self) -> str:
        """Empty until the models are loaded."""
        devices = (ran_on(session.compiled) for session in self._sessions.values())
        return ",".join(dict.fromkeys(devices))

    def read(self, image: bytes, page: int = 1) -> Page:
        return self._read(self._pictures.decode(image, page))

    def facts(self) -> dict[str, Any]:
        """Return device and precision of each part, ``Det``, ``Cls`` and ``Rec``, once loaded."""
        sessions = self._sessions
        return {
            **self._device.facts(),
            **self._pictures.facts(),
            "loaded": bool(sessions),
            "devices": {part: ran_on(s.compiled) for part, s in sessions.items()},
            "precision": {part: precision(s.compiled) for part, s in sessions.items()},
        }

    @cached_property
    def _rapid(self) -> Any:
        folder = Path(rapidocr.__file__).parent / "models"
        sessions = {
            part: _Session(folder / file, self._device) for part, file in MODEL_FILES.items()
        }
        pipeline = _pipeline(folder, sessions)
        self._sessions = sessions
        return pipeline

    def _read(self, picture: Picture) -> Page:
        pipeline = self._rapid
        for session in self._sessions.values():
            session.columns = 0
        try:
            found = pipeline(picture.pixels)
        except AutoBotError:
            raise
        except Exception as error:  # rapidocr, OpenCV and OpenVINO each raise their own
            raise Unavailable(f"The OCR engine failed on this image: {error}") from error
        lines: list[Line] = []
        if found.boxes is not None and found.txts is not None:
            for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
                lines.append(Line(text, round(float(score), 4), _box(corners, picture)))
        return Page(lines, picture.width, picture.height, picture.pages)


def _box(corners: NDArray[np.float32], picture: Picture) -> Box:
    """Scale four corners back to the picture, without the margin it was given."""
    limits = (picture.width, picture.height)
    scaled = np.clip(corners * picture.scale, 0, limits).round(1).tolist()
    top_left, top_right, bottom_right, bottom_left = ((x, y) for x, y in scaled)
    return top_left, top_right, bottom_right, bottom_left


def _pipeline(folder: Path, sessions: dict[str, _Session]) -> Any:
    """rapidocr with our sessions. Every file is named, so it never looks for one to download."""
    params: dict[str, Any] = {
        "Global.log_level": "error",
        # `ocr.image` has done both; rapidocr's own resizing misplaces boxes of very long images.
        "Global.use_preprocess_img": False,
        "Global.use_vertical_padding": False,
        # As fast as six at a time, and a sixth of the memory, which a long line takes much of.
        "Rec.rec_batch_num": 1,
    }
    for part, file in MODEL_FILES.items():
        params[f"{part}.engine_type"] = rapidocr.EngineType.OPENVINO
        params[f"{part}.model_path"] = str(folder / file)
    pipeline: Any = rapidocr.RapidOCR(params=params)
    pipeline._load_det_model().session = sessions["Det"]
    pipeline._load_cls_model().session = sessions["Cls"]
    pipeline._load_rec_model().session = sessions["Rec"]
    return pipeline
