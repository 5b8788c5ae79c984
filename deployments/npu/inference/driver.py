"""OpenVINO IR and ONNX files in `models/openvino` of the cache: NAME.xml, NAME.onnx, or a folder
NAME with one of them in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openvino

from autobot.errors import BadRequest, ModelNotFound, Unavailable
from autobot.settings import Settings
from deployments.npu.inference.service import Array, Port
from deployments.npu.openvino.driver import Device, ran_on

FOLDER = "openvino"
PLATFORMS = {".xml": "openvino_ir", ".onnx": "onnx_onnxv1"}
DATATYPES = {
    "boolean": "BOOL", "f16": "FP16", "f32": "FP32", "f64": "FP64",
    **{f"{sign}{bits}": f"{word}{bits}" for sign, word in (("i", "INT"), ("u", "UINT"))
       for bits in (8, 16, 32, 64)},
}  # fmt: skip


class OpenVinoInferenceModels:
    """Whatever lies in the folder now. A file that changes is read again after a restart."""

    def __init__(self, settings: Settings, device: Device) -> None:
        self._folder = settings.models_dir / FOLDER
        self._device = device

    def installed(self) -> list[str]:
        return sorted(self._files())

    def load(self, name: str) -> "OpenVinoInferenceModel":
        files = self._files()
        if name not in files:
            raise ModelNotFound(
                f"There is no model {name!r} in {FOLDER}; there are: {', '.join(files) or 'none'}."
            )
        try:
            return OpenVinoInferenceModel(name, files[name], self._device)
        except Exception as error:  # whatever an owner's file makes OpenVINO raise
            raise Unavailable(f"{name} cannot be loaded: {error}") from error

    def facts(self) -> dict[str, Any]:
        return {**self._device.facts(), "folder": str(self._folder)}

    def _files(self) -> dict[str, Path]:
        """By listing, so that no name can lead outside the folder."""
        found: dict[str, Path] = {}
        for entry in sorted(self._folder.glob("*")):
            for file in sorted(entry.glob("*")) if entry.is_dir() else [entry]:
                if file.suffix in PLATFORMS:
                    found.setdefault(entry.name if entry.is_dir() else entry.stem, file)
        return found


class OpenVinoInferenceModel:
    """One compiled model, in the precision it was made in."""

    def __init__(self, name: str, file: Path, device: Device) -> None:
        self.name = name
        self.platform = PLATFORMS[file.suffix]
        self._compiled = device.compile(device.core.read_model(file), exact=True)
        self._request = self._compiled.create_infer_request()
        self.inputs = [_port(port, f"input_{n}") for n, port in enumerate(self._compiled.inputs)]
        self.outputs = [_port(port, f"output_{n}") for n, port in enumerate(self._compiled.outputs)]

    def device(self) -> str:
        return ran_on(self._compiled)

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        try:
            self._request.infer({n: feed[port.name] for n, port in enumerate(self.inputs)})
        except RuntimeError as error:  # shapes that pass one by one need not fit together
            reason = str(error).strip().splitlines()[-1]
            raise BadRequest(f"{self.name} cannot work on these inputs: {reason}") from error
        tensors = self._request.output_tensors
        pairs = zip(self.outputs, tensors, strict=True)
        return {port.name: tensor.data.copy() for port, tensor in pairs}


def _port(port: openvino.ConstOutput, unnamed: str) -> Port:
    name = port.get_any_name() if port.get_names() else unnamed
    kind = port.get_element_type().get_type_name()
    dimensions = port.get_partial_shape()
    shape = [-1 if size.is_dynamic else int(size.get_length()) for size in dimensions]
    return Port(name, DATATYPES.get(kind, kind.upper()), shape)
