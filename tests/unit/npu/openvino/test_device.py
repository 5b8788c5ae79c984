"""Which device is handed to OpenVINO, and what is said when it is not the one asked for."""

import pytest

from autobot.errors import Unavailable
from deployments.npu.openvino.device import choose, executing


@pytest.mark.parametrize(
    ("requested", "available", "device"),
    [
        ("AUTO:NPU,CPU", ["CPU", "NPU"], "AUTO:NPU,CPU"),
        ("AUTO:NPU,CPU", ["CPU"], "CPU"),
        ("AUTO:NPU,GPU,CPU", ["CPU", "GPU.0", "GPU.1"], "AUTO:GPU,CPU"),
        ("AUTO", ["CPU"], "AUTO"),
        ("CPU", ["CPU", "NPU"], "CPU"),
        ("NPU", ["CPU", "NPU"], "NPU"),
        ("GPU.1", ["CPU", "GPU.0", "GPU.1"], "GPU.1"),
    ],
)
def test_what_exists_is_kept_in_the_order_asked_for(
    requested: str, available: list[str], device: str
) -> None:
    assert choose(requested, available).device == device


def test_a_fallback_names_what_is_missing_and_what_is_there() -> None:
    choice = choose("AUTO:NPU,GPU,CPU", ["CPU"])
    assert choice.requested == "AUTO:NPU,GPU,CPU"
    assert choice.fallback == "No NPU or GPU on this machine: OpenVINO sees CPU."


def test_nothing_is_said_when_all_is_there() -> None:
    assert choose("AUTO:NPU,CPU", ["CPU", "NPU"]).fallback is None


@pytest.mark.parametrize("requested", ["NPU", "AUTO:NPU", "AUTO:NPU,GPU", "GPU.1", "nonsense"])
def test_a_demand_that_cannot_be_met_is_an_error(requested: str) -> None:
    with pytest.raises(Unavailable, match="OpenVINO sees CPU"):
        choose(requested, ["CPU"])


def test_a_stand_in_device_is_named_without_brackets() -> None:
    assert executing(["(CPU)"]) == "CPU"
    assert executing(["NPU", "CPU"]) == "NPU,CPU"
