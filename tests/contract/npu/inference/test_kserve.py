"""An owner's own models over the Open Inference Protocol; they are made here, of OpenVINO's ops."""

import asyncio
import contextlib
import gzip
import json
import math
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openvino
import pytest
import uvicorn
from fastapi import FastAPI
from openvino import opset13 as ops

from autobot.errors import BadRequest, Busy, ModelNotFound, TooLarge, Unavailable
from autobot.settings import Settings
from deployments.npu.fake import FakeInferenceModel, FakeModels
from deployments.npu.inference.api import kserve_routes
from deployments.npu.inference.body import EXTENSION, HEADER_LENGTH, MOST_ROWS, parse
from deployments.npu.inference.driver import FOLDER, OpenVinoInferenceModels
from deployments.npu.inference.service import MAX_ELEMENTS, MAX_WAITING_EACH, Inference, to_array
from deployments.npu.openvino.driver import Device
from tests.contract.npu.conftest import KEY, READ_ONLY, app_of, client_of


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
        {"inputs": [GOOD[0], tensor("b", [1, None, 3], [3])]},
        {"inputs": [GOOD[0], tensor("b", [1, math.nan, 3], [3])]},
        {"inputs": [GOOD[0], tensor("b", [1, math.inf, 3], [3])]},
        {"inputs": [GOOD[0], tensor("b", [1, 1e39, 3], [3])]},
        {"inputs": [GOOD[0], tensor("b", ["1", "2", "3"], [3])]},
        {"inputs": [GOOD[0], tensor("b", [1, True, 3], [3])]},
        {"inputs": [GOOD[0], tensor("b", [1, {}, 3], [3])]},
        {"inputs": [GOOD[0], tensor("b", [[1, 2], 3], [3])]},
        {"inputs": [GOOD[0], tensor("b", [1, 2, 3], [3], "FP8")]},
        {"inputs": [GOOD[0], GOOD[0]]},
        {"inputs": [GOOD[0], {"name": "b", "shape": [3], "datatype": "FP32"}]},
        {"inputs": [GOOD[0], {**GOOD[1], "parameters": {"binary_data_size": 12}}]},
        {"inputs": [GOOD[0], {**GOOD[1], "parameters": {"shared_memory_region": "x"}}]},
        {"inputs": GOOD, "outputs": [{"name": "sum", "parameters": {"classification": 3}}]},
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
    assert answer.status_code in (400, 413), answer.text
    assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    ("datatype", "data", "said"),
    [
        ("INT64", [1.5], "a fraction"),
        ("INT64", [1.0], "a fraction"),
        ("INT64", [True], "true or false"),
        ("INT8", [300], "out of bounds"),
        ("UINT64", [-1], "out of bounds"),
        ("BOOL", [2], "an integer"),
        ("FP16", [1e6], "finite FP16|overflow"),
        ("FP32", ["1.5"], "a text"),
        ("FP32", [None], "null"),
        ("FP64", [math.nan], "finite FP64"),
    ],
)
def test_nothing_is_converted(datatype: str, data: list[Any], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        to_array("a", datatype, [1], data)


def test_large_integers_keep_every_digit() -> None:
    made = to_array("a", "UINT64", [2], [1, 2**64 - 1])
    assert made.tolist() == [1, 2**64 - 1]


def test_nested_data_must_be_nested_as_its_shape_says() -> None:
    assert to_array("a", "FP32", [3, 2], [[1, 2], [3, 4], [5, 6]]).shape == (3, 2)
    assert to_array("a", "FP32", [3, 2], [1, 2, 3, 4, 5, 6]).shape == (3, 2)
    with pytest.raises(BadRequest, match=r"nested as \[3, 2\]; its shape says \[2, 3\]"):
        to_array("a", "FP32", [2, 3], [[1, 2], [3, 4], [5, 6]])


async def test_only_the_advertised_version_is_there(client: httpx.AsyncClient) -> None:
    (version,) = (await client.get("/v2/models/adder")).json()["versions"]
    path = f"/v2/models/adder/versions/{version}"
    assert (await client.get(path)).json() == (await client.get("/v2/models/adder")).json()
    assert (await client.get(f"{path}/ready")).json()["ready"] is True
    answer = await client.post(f"{path}/infer", json={"inputs": GOOD})
    assert answer.json()["outputs"] == [tensor("sum", [1.5, 2, 0], [3])]
    for other in ("/v2/models/adder/versions/2", "/v2/models/adder/versions/2/ready"):
        assert "there is 1" in (await client.get(other)).json()["error"]
    missing = await client.post("/v2/models/adder/versions/2/infer", json={"inputs": GOOD})
    assert missing.status_code == 404


A, B = (np.array(one["data"], "<f4").tobytes() for one in GOOD)


def in_bytes(name: str, size: Any = 12) -> dict[str, Any]:
    told = {"name": name, "shape": [3], "datatype": "FP32"}
    return {**told, "parameters": {"binary_data_size": size}}


async def post_bytes(
    client: httpx.AsyncClient, body: dict[str, Any], raw: bytes, length: str | None = None
) -> httpx.Response:
    text = json.dumps(body).encode()
    headers = {HEADER_LENGTH: str(len(text)) if length is None else length}
    return await client.post("/v2/models/adder/infer", content=text + raw, headers=headers)


async def test_tensors_go_in_and_out_as_bytes(client: httpx.AsyncClient) -> None:
    assert EXTENSION in (await client.get("/v2")).json()["extensions"]
    body = {
        "inputs": [in_bytes("a"), in_bytes("b")],
        "parameters": {"binary_data_output": True},
    }
    answer = await post_bytes(client, body, A + B)
    length = int(answer.headers[HEADER_LENGTH])
    told = json.loads(answer.content[:length])
    assert told["outputs"] == [
        {"name": "sum", "shape": [3], "datatype": "FP32", "parameters": {"binary_data_size": 12}}
    ]
    assert np.frombuffer(answer.content[length:], "<f4").tolist() == [1.5, 2, 0]


async def test_each_tensor_chooses_between_json_and_bytes(client: httpx.AsyncClient) -> None:
    chosen = [{"name": "sum", "parameters": {"binary_data": False}}]
    body = {
        "inputs": [in_bytes("a"), GOOD[1]],
        "outputs": chosen,
        "parameters": {"binary_data_output": True},
    }
    answer = await post_bytes(client, body, A)
    assert answer.json()["outputs"] == [tensor("sum", [1.5, 2, 0], [3])]
    assert HEADER_LENGTH not in answer.headers


async def test_bytes_may_say_what_json_cannot(client: httpx.AsyncClient) -> None:
    nothing = np.array([np.nan, np.inf, 1], "<f4").tobytes()
    body: dict[str, Any] = {"inputs": [in_bytes("a"), in_bytes("b")]}
    assert "binary_data" in (await post_bytes(client, body, nothing + B)).json()["error"]
    body["outputs"] = [{"name": "sum", "parameters": {"binary_data": True}}]
    answer = await post_bytes(client, body, nothing + B)
    made = np.frombuffer(answer.content[int(answer.headers[HEADER_LENGTH]) :], "<f4")
    assert np.isnan(made[0])


BOTH = {"inputs": [in_bytes("a"), in_bytes("b")]}


@pytest.mark.parametrize(
    ("body", "raw", "length", "said"),
    [
        (BOTH, A, None, "0 are left"),
        (BOTH, A + B + b"x", None, "1 bytes at the end"),
        (BOTH, A + B, "-1", "must be a number"),
        (BOTH, A + B, "9" * 30, "the body has"),
        (BOTH, A + B, "x", "must be a number"),
        (BOTH, A + B, "3", "JSON"),
        ({"inputs": [in_bytes("a", 8), in_bytes("b", 16)]}, A + B, None, "say 12"),
        ({"inputs": [in_bytes("a", -1), in_bytes("b")]}, A + B, None, "greater than or equal"),
        ({"inputs": [in_bytes("a", 10**30), in_bytes("b")]}, A + B, None, ""),
        ({"inputs": [{**in_bytes("a"), "datatype": "BYTES"}, in_bytes("b")]}, A + B, None, "BYTES"),
        ({"inputs": [{**in_bytes("a"), "shape": [MAX_ELEMENTS, 2]}, GOOD[1]]}, A, None, "at most"),
    ],
    ids=range(11),
)
async def test_bytes_that_do_not_add_up_are_refused(
    client: httpx.AsyncClient, body: dict[str, Any], raw: bytes, length: str | None, said: str
) -> None:
    answer = await post_bytes(client, body, raw, length)
    assert answer.status_code in (400, 413), answer.text
    assert said in answer.json()["error"]


async def test_thirty_megabytes_of_numbers_are_refused_unparsed(client: httpx.AsyncClient) -> None:
    text = b'{"inputs":[{"name":"a","shape":[1],"datatype":"FP32","data":[' + b"0," * (15 << 20)
    answer = await client.post("/v2/models/adder/infer", content=text + b"0]}]}")
    assert answer.status_code == 413


async def test_a_compressed_body_is_refused(client: httpx.AsyncClient) -> None:
    zipped = gzip.compress(json.dumps({"inputs": GOOD}).encode())
    headers = {"content-encoding": "gzip"}
    answer = await client.post("/v2/models/adder/infer", content=zipped, headers=headers)
    assert answer.status_code == 400
    assert "Compressed" in answer.json()["error"]


@pytest.mark.parametrize("binary", [True, False])
async def test_tritons_own_client_reads_describes_and_runs(
    inference: Inference, binary: bool
) -> None:
    app = await app_of(kserve_routes(inference, "an engine"))
    async with listening(app) as address:
        await asyncio.to_thread(ask_with_triton, address, binary)


def ask_with_triton(address: str, binary: bool) -> None:
    triton: Any = pytest.importorskip("tritonclient.http")
    headers = {"Authorization": f"Bearer {KEY}"}
    client = triton.InferenceServerClient(address, network_timeout=60)
    assert client.is_server_live(headers=headers)
    assert client.is_model_ready("adder", "1", headers=headers)
    assert client.get_model_metadata("adder", "1", headers=headers)["versions"] == ["1"]
    inputs: list[Any] = []
    for one in GOOD:
        given = triton.InferInput(one["name"], one["shape"], one["datatype"])
        given.set_data_from_numpy(np.array(one["data"], np.float32), binary_data=binary)
        inputs.append(given)
    for outputs in (None, [triton.InferRequestedOutput("sum", binary_data=binary)]):
        answer = client.infer("adder", inputs, "1", outputs, headers=headers)
        assert answer.as_numpy("sum").tolist() == [1.5, 2, 0]
    client.close()


@contextlib.asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[str]:
    """``app`` on a port of loopback: the client is not one of ours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


async def test_one_key_cannot_take_the_places_of_another(inference: Inference) -> None:
    feed = {name: np.ones(3, np.float32) for name in ("a", "b")}
    keys = ["a"] * (MAX_WAITING_EACH + 2) + ["b"]
    async with inference._turns.slot("c"):  # nobody's turn comes until all have asked
        asking = [asyncio.ensure_future(inference.infer("adder", feed, key=key)) for key in keys]
        async with asyncio.timeout(30):
            while inference._turns.queued < MAX_WAITING_EACH + 1:  # noqa: ASYNC110  it tells nobody
                await asyncio.sleep(0.01)
    answers = await asyncio.gather(*asking, return_exceptions=True)
    refused = [isinstance(answer, Busy) for answer in answers]
    assert refused[-1] is False
    assert refused[:-1].count(True) == 2


async def test_a_model_may_be_called_anything() -> None:
    routes = kserve_routes(Inference(FakeModels(FakeInferenceModel("größe-模型"))), "an engine")
    async with client_of(await app_of(routes)) as client:
        answer = await client.post("/v2/models/größe-模型/infer", json={"inputs": GOOD})
    assert answer.json()["model_name"] == "größe-模型"
    assert answer.headers["x-autobot-model"] == r"gr\xf6\xdfe-\u6a21\u578b"


async def test_numbers_that_json_cannot_carry_are_said_to_be(client: httpx.AsyncClient) -> None:
    big = [tensor(name, [3e38], [1]) for name in ("a", "b")]
    answer = await client.post("/v2/models/adder/infer", json={"inputs": big})
    assert answer.status_code == 400
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


@pytest.mark.parametrize("part", ['{"":0}', "[]"])
def test_json_of_many_small_parts_is_refused_before_it_is_parsed(part: str) -> None:
    data = ",".join([part] * (MOST_ROWS + 1))
    body = f'{{"inputs":[{{"name":"a","shape":[1],"datatype":"FP32","data":[{data}]}}]}}'.encode()
    began = time.process_time()
    with pytest.raises(TooLarge, match="parts"):
        parse(body, None)
    assert time.process_time() - began < 0.3
