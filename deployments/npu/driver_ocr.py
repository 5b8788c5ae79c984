"""PP-OCR models, which come inside the rapidocr package, on OpenVINO."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import rapidocr
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from autobot.errors import Unavailable
from deployments.npu.driver_device import Device, precision, ran_on
from deployments.npu.driver_image import Picture, decode
from deployments.npu.ocr import Box, Line, Page

MODEL = "pp-ocrv6-small"
MODEL_FILES = {
    "Det": "PP-OCRv6_det_small.onnx",
    "Cls": "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
    "Rec": "PP-OCRv6_rec_small.onnx",
}


class _Session:
    """An inference session on our device, in place of rapidocr's own, which knows only the CPU."""

    def __init__(self, file: Path, device: Device) -> None:
        self.compiled = device.compile(device.core.read_model(file))
        self._request = self.compiled.create_infer_request()

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        self._request.infer([batch])
        return self._request.get_output_tensor().data


class RapidOcrEngine:
    """Detection, orientation and recognition; `read` is for one thread at a time."""

    model = MODEL

    def __init__(self, device: Device) -> None:
        self._device = device
        folder = Path(rapidocr.__file__).parent / "models"
        self._sessions = {
            part: _Session(folder / file, device) for part, file in MODEL_FILES.items()
        }
        self._rapid = _pipeline(folder, self._sessions)
        self.read(_warm_up_page())

    def device(self) -> str:
        devices = (ran_on(session.compiled) for session in self._sessions.values())
        return ",".join(dict.fromkeys(devices))

    def read(self, image: bytes) -> Page:
        return self._read(decode(image))

    def facts(self) -> dict[str, Any]:
        return {
            **self._device.facts(),
            "devices": {part: ran_on(s.compiled) for part, s in self._sessions.items()},
            "precision": precision(self._sessions["Rec"].compiled),
        }

    def _read(self, picture: Picture) -> Page:
        try:
            found = self._rapid(picture.pixels)
        except Exception as error:  # rapidocr, OpenCV and OpenVINO each raise their own
            raise Unavailable(f"The OCR engine failed on this image: {error}") from error
        lines: list[Line] = []
        if found.boxes is not None and found.txts is not None:
            for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
                lines.append(Line(text, round(float(score), 4), _box(corners, picture)))
        return Page(lines, picture.width, picture.height)


def _warm_up_page() -> bytes:
    """Something to read before ready, so that all three models have prepared their kernels."""
    page = Image.new("RGB", (960, 736), "white")
    ImageDraw.Draw(page).text((40, 40), "Ready to read", fill="black", font_size=40)
    buffer = io.BytesIO()
    page.save(buffer, "BMP")
    return buffer.getvalue()


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
        # `decode` has done both; rapidocr's own resizing misplaces boxes of very long images.
        "Global.use_preprocess_img": False,
        "Global.use_vertical_padding": False,
    }
    for part, file in MODEL_FILES.items():
        params[f"{part}.engine_type"] = rapidocr.EngineType.OPENVINO
        params[f"{part}.model_path"] = str(folder / file)
    pipeline: Any = rapidocr.RapidOCR(params=params)
    pipeline._load_det_model().session = sessions["Det"]
    pipeline._load_cls_model().session = sessions["Cls"]
    pipeline._load_rec_model().session = sessions["Rec"]
    return pipeline
