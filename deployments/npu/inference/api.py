"""`/v2`: the Open Inference Protocol, as KServe and its clients have it."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from autobot import __version__
from autobot.errors import BadRequest, NotFound
from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.disconnect import unless_disconnected
from deployments.npu.error_responses import KSERVE, error_responses, origin_headers
from deployments.npu.inference.body import (
    EXTENSION,
    HEADER_LENGTH,
    KServeAnswer,
    parse,
    request_schema,
    write,
)
from deployments.npu.inference.service import Inference, InferenceModel

VERSION = "1"
"""A file has no versions: this is what is there now."""
MODEL = "/v2/models/{name}"
MODEL_VERSION = MODEL + "/versions/{version}"
BYTES: dict[str, Any] = {"application/octet-stream": {"schema": {"type": "string"}}}


async def _known(name: str, version: str) -> None:
    if version != VERSION:
        raise NotFound(f"{name} has no version {version!r}; there is {VERSION}.")


def kserve_routes(inference: Inference, engine: str) -> APIRouter:
    """Return the protocol's routes around ``inference``; ``engine`` goes into a header."""
    router = APIRouter(tags=["npu"])
    keyed = APIRouter(
        dependencies=[Depends(require("npu"))],
        responses=error_responses(KSERVE, {400: "Not what the model takes", 404: "No such model"}),
    )
    versioned = [Depends(_known)]

    @router.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        """Say that this server runs. Needs no key."""
        return {"live": True}

    @keyed.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        """Say that this server takes requests; models load when they are asked for."""
        return {"ready": True}

    @keyed.get("/v2")
    async def server() -> dict[str, Any]:
        """Return the server's name, version and the extensions of the protocol that it has."""
        return {"name": "autobot", "version": __version__, "extensions": [EXTENSION]}

    @keyed.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        """The names of the models in the folder: an addition to the protocol."""
        return {"models": inference.installed()}

    @keyed.get(MODEL_VERSION, dependencies=versioned)
    @keyed.get(MODEL)
    async def metadata(name: str) -> dict[str, Any]:
        """What the model takes and gives; loads it."""
        return _described(await inference.model(name))

    @keyed.get(f"{MODEL_VERSION}/ready", dependencies=versioned)
    @keyed.get(f"{MODEL}/ready")
    async def model_ready(name: str) -> dict[str, Any]:
        """Load the model, and say that it is."""
        return {"name": (await inference.model(name)).name, "ready": True}

    asked = {"application/json": {"schema": request_schema()}, **BYTES}
    documented: dict[str, Any] = {
        "response_model": KServeAnswer,
        "responses": {200: {"content": BYTES}},
        "openapi_extra": {"requestBody": {"required": True, "content": asked}},
    }

    @keyed.post(f"{MODEL_VERSION}/infer", dependencies=versioned, **documented)
    @keyed.post(f"{MODEL}/infer", **documented)
    async def infer(
        name: str, request: Request, key: Annotated[KeyRecord, Depends(require("npu"))]
    ) -> Response:
        """Run the model once. Numbers are JSON, or bytes as the extension `binary_tensor_data`
        has them."""
        if request.headers.get("content-encoding", "identity") != "identity":
            raise BadRequest("Compressed bodies are not read.")
        body, length = await request.body(), request.headers.get(HEADER_LENGTH)
        # Millions of numbers take a second to read and to write, which nobody else shall wait for.
        async with inference.reading.slot(key.id):
            wanted, feed = await asyncio.to_thread(parse, body, length)
        work = inference.infer(name, feed, wanted.wanted, key.id)
        model, made = await unless_disconnected(request, work)
        content, json_length = await asyncio.to_thread(write, wanted, model, made)
        headers = origin_headers(model.name, model.device(), engine)
        if json_length is None:
            return Response(content, media_type="application/json", headers=headers)
        headers[HEADER_LENGTH] = str(json_length)
        return Response(content, media_type="application/octet-stream", headers=headers)

    router.include_router(keyed)
    return router


def _described(model: InferenceModel) -> dict[str, Any]:
    def ports(of: Any) -> list[dict[str, Any]]:
        return [{"name": p.name, "datatype": p.datatype, "shape": p.shape} for p in of]

    return {
        "name": model.name,
        "versions": [VERSION],
        "platform": model.platform,
        "inputs": ports(model.inputs),
        "outputs": ports(model.outputs),
    }
