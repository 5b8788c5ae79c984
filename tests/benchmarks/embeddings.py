"""Embeddings through the platform against OpenVINO called directly on the same texts."""

import json
import tempfile
import time
from pathlib import Path

import httpx
import openvino

from autobot.settings import Settings
from deployments.npu.embeddings.driver import OpenVinoEmbeddingModel
from deployments.npu.openvino.driver import Device
from tests.benchmarks.ingress import wrk
from tests.benchmarks.report import Figure, median
from tests.platform import Platform

SECONDS = 4.0
ROUNDS = 3
SENTENCE = "the owner of this house asks the kitchen light to go on when the sun is down"


def texts(count: int, turn: int) -> list[str]:
    """Sentences of one length, no two the same: unequal ones would measure padding."""
    return [f"{turn} {i} {SENTENCE} {SENTENCE}" for i in range(count)]


def direct(model: OpenVinoEmbeddingModel, batch: int) -> float:
    """Texts per second of tokenising and inferring, without batching, HTTP or JSON."""
    done, turn, started = 0, 0, time.perf_counter()
    while (took := time.perf_counter() - started) < SECONDS:
        model.embed(model.tokenise(texts(batch, turn)))
        done, turn = done + batch, turn + 1
    return done / took


def through(client: httpx.Client, batch: int) -> float:
    done, turn, started = 0, 0, time.perf_counter()
    while (took := time.perf_counter() - started) < SECONDS:
        body = {"model": "default", "input": texts(batch, turn), "encoding_format": "base64"}
        client.post("/v1/embeddings", json=body).raise_for_status()
        done, turn = done + batch, turn + 1
    return done / took


CALLERS = 32
# wrk runs this: one text a request, no two the same.
SCRIPT = """
local turn, sentence = 0, %s
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer %s"
function request()
  turn = turn + 1
  local text = "c " .. turn .. " " .. sentence .. " " .. sentence
  local body = '{"model": "default", "encoding_format": "base64", "input": "' .. text .. '"}'
  return wrk.format(nil, nil, nil, body)
end
"""


def single_text_callers(platform: Platform) -> float:
    """Texts per second of callers that send one text at a time and wait for its vector."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:  # 0600: it holds the key
        script.write(SCRIPT % (json.dumps(SENTENCE), platform.key))
        script.flush()
        return wrk(f"{platform.url}/v1/embeddings", CALLERS, Path(script.name)).rate


def measure(platform: Platform, folder: Path, max_tokens: int) -> list[Figure]:
    model = OpenVinoEmbeddingModel("floor", folder, max_tokens, Device(Settings()))
    note = f"{folder.name}, OpenVINO {openvino.__version__.split('-')[0]}"
    figures: list[Figure] = []
    with platform.client() as client:
        for batch, asked in ((1, ""), (32, ">= 0.85")):
            rounds = [(direct(model, batch), through(client, batch)) for _ in range(ROUNDS)]
            floor, rate = median([f for f, _ in rounds]), median([r for _, r in rounds])
            figures.append(
                Figure(f"embeddings, batch {batch}", rate, floor, "texts/s", asked, note)
            )
    rounds = [(direct(model, 32), single_text_callers(platform)) for _ in range(ROUNDS)]
    best, rate = median([f for f, _ in rounds]), median([r for _, r in rounds])
    name = f"embeddings, {CALLERS} callers of one text"
    return [*figures, Figure(name, rate, best, "texts/s", ">= 0.60", "floor: batches of 32")]
