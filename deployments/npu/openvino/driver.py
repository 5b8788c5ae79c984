"""OpenVINO itself: one Core, models compiled on the chosen device, and what it says of them."""

from pathlib import Path
from typing import Any

import openvino

from autobot.settings import Settings
from deployments.npu.openvino.device import choose, executing

ENGINE = f"openvino {openvino.__version__.split('-')[0]}"


class Device:
    """The device of one replica. Blocking; safe from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.core = openvino.Core()
        self.choice = choose(settings.npu_device, self.core.available_devices)
        self._cache = settings.cache / "compiled" / f"openvino-{openvino.__version__}"

    @property
    def static_shapes(self) -> bool:
        """Whether every size of a graph must be known when it is compiled."""
        return self.choice.uses("NPU")

    def compile(self, model: openvino.Model, *, exact: bool = False) -> openvino.CompiledModel:
        """Compile in the fastest precision the device has (bf16 where there is AMX), or, if
        ``exact``, in the model's own."""
        options = self._options()
        if exact:
            options["EXECUTION_MODE_HINT"] = "ACCURACY"
        return self.core.compile_model(model, self.choice.device, options)

    def facts(self) -> dict[str, Any]:
        """Return the engine, the device asked for and those there are.

        ``fallback`` is a sentence for people, there only when a device asked for is missing.
        """
        facts: dict[str, Any] = {
            "engine": ENGINE,
            "requested_device": self.choice.requested,
            "available_devices": list(self.choice.available),
        }
        if self.choice.fallback:
            facts["fallback"] = self.choice.fallback
        return facts

    def _options(self) -> dict[str, Any]:
        # LATENCY gives one inference all cores: batches come one at a time, so it is also the
        # throughput setting, without a second stream's memory.
        options: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if not self.choice.plain_cpu:
            # Minutes on an NPU. On the CPU compiling costs half a second and a cached blob as much
            # disk as the model, so there is nothing to cache.
            options["CACHE_DIR"] = str(_made(self._cache))
        return options


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def ran_on(compiled: openvino.CompiledModel) -> str:
    """What OpenVINO says executes this model, read now: AUTO may move it later."""
    return executing(compiled.get_property("EXECUTION_DEVICES"))


def precision(compiled: openvino.CompiledModel) -> str:
    """Return what OpenVINO computes this model in, for example ``bf16``."""
    return str(compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
