"""An owner's own models over the Open Inference Protocol; they are made here, of OpenVINO's ops."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openvino
import pytest
from openvino import opset13 as ops

from autobot.errors import BadRequest, ModelNotFound, Unavailable
from autobot.settings import Settings
from deployments.npu.driver_device import Device
from deployments.npu.driver_kserve import FOLDER, OpenVinoInferenceModels
from deployments.npu.fake import FakeInferenceModel, FakeModels
from deployments.npu.kserve import MAX_ELEMENTS, Inference
from deployments.npu.routes_kserve import kserve_routes
from tests.contract.npu.conftest import READ_ONLY, app_of, client_of


def adder(shape: list[int]) -> openvino.Model:
    a, b = (ops.parameter(shape, np.float32, name) for name in ("a", "b"))
    total = ops.add(a, b)
    for node, name in ((a, "a"), (b, "b"), (total, "sum")):
        node.output(0).get_tensor().set_names({name})
    make: Any = openvino.Model
    return make([ops.result(total)], [a, b], "adder")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with a model folder: one model as a file, one in a folder, one broken."""
    cache = tmp_path_factory.mktemp("cache")
    models = cache / "models" / FOLDER
    (models / "exact").mkdir(parents=True)
    openvino.save_model(adder([-1]), models / "adder.xml", compress_to_fp16=False)
    openvino.save_model(adder([2, 3]), models / "exact" / "any.xml", compress_to_fp16=False)
    (models / "broken.onnx").write_bytes(b"not a model")
    (models / "README.txt").write_text("not a model either")
    return cache


@pytest.fixture(params=["fake", "openvino"])
def inference(request: pytest.FixtureRequest, folder: Path, device: Device) -> Inference:
    if request.param == "fake":
        return Inference(FakeModels(FakeInferenceModel("adder")))
    return Inference(OpenVinoInferenceModels(Settings(cache=folder), device))


@pytest.fixture
async def client(inference: Inference) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(await app_of(kserve_routes(inference, "an engine"))) as client:
        yield client


def tensor(name: str, data: Any, shape: list[int], datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data}


GOOD = [tensor("a", [1, 2, 3], [3]), tensor("b", [0.5, 0, -3], [3])]


async def test_a_model_is_described_ready_and_run(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v2")).json()["name"] == "autobot"
    assert (await client.get("/v2/health/live")).json() == {"live": True}
    assert (await client.get("/v2/health/ready")).json() == {"ready": True}
    assert "adder" in (await client.get("/v2/models")).json()["models"]
    told = (await client.get("/v2/models/adder")).json()
    assert told["inputs"] == [
        {"name": name, "datatype": "FP32", "shape": [-1]} for name in ("a", "b")
    ]
    assert told["outputs"] == [{"name": "sum", "datatype": "FP32", "shape": [-1]}]
    assert (await client.get("/v2/models/adder/ready")).json()["ready"] is True
    body = {"id": "7", "inputs": GOOD, "outputs": [{"name": "sum"}]}
    answer = await client.post("/v2/models/adder/infer", json=body)
    read = answer.json()
    assert (read["model_name"], read["id"]) == ("adder", "7")
    assert read["outputs"] == [tensor("sum", [1.5, 2, 0], [3])]
    assert answer.headers["x-autobot-device"]
    assert answer.headers["x-autobot-model"] == "adder"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputs": []},
        {"inputs": GOOD[:1]},
        {"inputs": [*GOOD, tensor("c", [1], [1])]},
        {"inputs": [GOOD[0], tensor("b", [1, 2], [2])]},
        {"inputs": [GOOD[0], tensor("b", [1, 2], [3])]},
        {"inputs": [GOOD[0], tensor("b", [[1, 2, 3]], [1, 3])]},
        {"inputs": [GOOD[0], tensor("b", ["x", "y", "z"], [3])]},
        {"inputs": [GOOD[0], tensor("b", [[1], [2, 3]], [3])]},
        {"inputs": [GOOD[0], tensor("b", [None] * 3, [3], "INT64")]},
        {"inputs": [GOOD[0], tensor("b", [1, 2, 3], [3], "INT64")]},
        {"inputs": [GOOD[0], tensor("b", [1, 2, 3], [3], "BYTES")]},
        {"inputs": [GOOD[0], tensor("b", [1, 2, 10**400], [3])]},
        {"inputs": [GOOD[0], tensor("b", [], [-3])]},
        {"inputs": [GOOD[0], tensor("b", [1], [MAX_ELEMENTS, MAX_ELEMENTS])]},
        {"inputs": [GOOD[0], tensor("b", [1], [10**30])]},
        {"inputs": [GOOD[0], tensor("b", [1], [1] * 40)]},
        {"inputs": [GOOD[0], tensor("b", [], [0] + [MAX_ELEMENTS] * 15)]},
        {"inputs": GOOD, "outputs": [{"name": "difference"}]},
        {"inputs": GOOD, "id": "half \ud800"},
        {"inputs": GOOD, "outputs": [{"name": "\ud800"}]},
    ],
    ids=lambda body: json.dumps(body)[-60:],
)
async def test_what_the_model_does_not_take_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    headers = {"content-type": "application/json"}
    content = json.dumps(body)
    answer = await client.post("/v2/models/adder/infer", content=content, headers=headers)
    assert 400 <= answer.status_code < 500
    assert set(answer.json()) == {"error"}


async def test_a_model_may_be_called_anything() -> None:
    routes = kserve_routes(Inference(FakeModels(FakeInferenceModel("größe-模型"))), "an engine")
    async with client_of(await app_of(routes)) as client:
        answer = await client.post("/v2/models/größe-模型/infer", json={"inputs": GOOD})
    assert answer.json()["model_name"] == "größe-模型"
    assert answer.headers["x-autobot-model"] == r"gr\xf6\xdfe-\u6a21\u578b"


async def test_numbers_that_json_cannot_carry_are_said_to_be(client: httpx.AsyncClient) -> None:
    big = [tensor(name, [3e38], [1]) for name in ("a", "b")]
    answer = await client.post("/v2/models/adder/infer", json={"inputs": big})
    assert answer.status_code == 422
    assert "'sum'" in answer.text


@pytest.mark.parametrize("name", ["none", "..", "%2e%2e%2fadder", "README", "adder.xml"])
async def test_other_names_are_not_found(client: httpx.AsyncClient, name: str) -> None:
    assert (await client.get(f"/v2/models/{name}/ready")).status_code == 404


async def test_a_key_is_asked_for_except_for_liveness(client: httpx.AsyncClient) -> None:
    nobody = {"authorization": ""}
    assert (await client.get("/v2/health/live", headers=nobody)).status_code == 200
    for path in ("/v2", "/v2/health/ready", "/v2/models", "/v2/models/adder"):
        assert (await client.get(path, headers=nobody)).status_code == 401
    reading = {"authorization": f"Bearer {READ_ONLY}"}
    answer = await client.post("/v2/models/adder/infer", headers=reading, json={})
    assert answer.status_code == 403


async def test_models_are_found_by_file_and_by_folder(folder: Path, device: Device) -> None:
    models = OpenVinoInferenceModels(Settings(cache=folder), device)
    assert models.installed() == ["adder", "broken", "exact"]
    inference = Inference(models)
    feed = {name: np.ones((2, 3), np.float32) for name in ("a", "b")}
    model, made = await inference.infer("exact", feed)
    assert made["sum"].tolist() == [[2.0] * 3] * 2
    assert model.device() == (await inference.facts())["device"] != ""
    with pytest.raises(BadRequest, match=r"\[3, 2\]; the model takes \[2, 3\]"):
        await inference.infer("exact", {name: one.T for name, one in feed.items()})


async def test_a_file_that_is_no_model_is_told(folder: Path, device: Device) -> None:
    inference = Inference(OpenVinoInferenceModels(Settings(cache=folder), device))
    with pytest.raises(Unavailable, match="broken cannot be loaded"):
        await inference.model("broken")


async def test_a_model_is_served_once_it_is_dropped_in(tmp_path: Path, device: Device) -> None:
    inference = Inference(OpenVinoInferenceModels(Settings(cache=tmp_path), device))
    with pytest.raises(ModelNotFound, match="none"):
        await inference.model("late")
    (tmp_path / "models" / FOLDER).mkdir(parents=True)
    openvino.save_model(adder([-1]), tmp_path / "models" / FOLDER / "late.xml")
    assert (await inference.model("late")).name == "late"
