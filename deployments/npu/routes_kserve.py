"""`/v2`: the Open Inference Protocol, as KServe and its clients have it."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from autobot import __version__
from autobot.errors import Invalid
from autobot.web.auth import require
from autobot.web.hangup import unless_hung_up
from deployments.npu.kserve import MAX_ELEMENTS, Array, Inference, InferenceModel, Port, to_array
from deployments.npu.refusals import KSERVE, provenance, refusals
from deployments.npu.schemas import Text

Size = Annotated[int, Field(ge=0, le=MAX_ELEMENTS)]


class KServeTensor(BaseModel):
    """``data`` may be flat or nested; JSON only, the binary extension is not offered."""

    name: Text
    shape: Annotated[list[Size], Field(max_length=16)]
    datatype: Text
    data: list[Any]

    def array(self) -> Array:
        return to_array(self.name, self.datatype, self.shape, self.data)


class KServeWanted(BaseModel):
    name: Text


class KServeRequest(BaseModel):
    id: Text | None = None
    inputs: Annotated[list[KServeTensor], Field(min_length=1, max_length=64)]
    outputs: Annotated[list[KServeWanted], Field(max_length=64)] = Field(default=[])


class KServeAnswer(BaseModel):
    model_name: str
    model_version: str = "1"
    id: str | None = None
    outputs: list[KServeTensor]
    model_config = ConfigDict(protected_namespaces=())


def kserve_routes(inference: Inference, engine: str) -> APIRouter:
    """Return the protocol's routes around ``inference``; ``engine`` goes into a header."""
    router = APIRouter(tags=["npu"])
    keyed = APIRouter(
        dependencies=[Depends(require("npu"))],
        responses=refusals(KSERVE, {400: "Not what the model takes", 404: "No such model"}),
    )

    @router.get("/v2/health/live")
    async def live() -> dict[str, bool]:
        return {"live": True}

    @keyed.get("/v2/health/ready")
    async def ready() -> dict[str, bool]:
        return {"ready": True}

    @keyed.get("/v2")
    async def server() -> dict[str, Any]:
        return {"name": "autobot", "version": __version__, "extensions": []}

    @keyed.get("/v2/models")
    async def models() -> dict[str, list[str]]:
        """The names of the models in the folder: an addition to the protocol."""
        return {"models": inference.installed()}

    @keyed.get("/v2/models/{name}")
    async def metadata(name: str) -> dict[str, Any]:
        """What the model takes and gives; loads it."""
        return _described(await inference.model(name))

    @keyed.get("/v2/models/{name}/ready")
    async def model_ready(name: str) -> dict[str, Any]:
        """Load the model, and say that it is."""
        return {"name": (await inference.model(name)).name, "ready": True}

    @keyed.post("/v2/models/{name}/infer", response_model_exclude_none=True)
    async def infer(
        name: str, body: KServeRequest, request: Request, response: Response
    ) -> KServeAnswer:
        """Run the model once."""
        feed = {tensor.name: tensor.array() for tensor in body.inputs}
        wanted = [output.name for output in body.outputs]
        model, made = await unless_hung_up(request, inference.infer(name, feed, wanted))
        response.headers.update(provenance(model.name, model.device(), engine))
        ports = {port.name: port for port in model.outputs}
        tensors = [_tensor(ports[output], array) for output, array in made.items()]
        return KServeAnswer(model_name=model.name, id=body.id, outputs=tensors)

    router.include_router(keyed)
    return router


def _described(model: InferenceModel) -> dict[str, Any]:
    def ports(of: Any) -> list[dict[str, Any]]:
        return [{"name": p.name, "datatype": p.datatype, "shape": p.shape} for p in of]

    return {
        "name": model.name,
        "versions": ["1"],
        "platform": model.platform,
        "inputs": ports(model.inputs),
        "outputs": ports(model.outputs),
    }


def _tensor(port: Port, array: Array) -> KServeTensor:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Invalid(f"Output {port.name!r} has values that JSON cannot carry (NaN or infinite).")
    return KServeTensor(
        name=port.name,
        shape=list(array.shape),
        datatype=port.datatype,
        data=array.ravel().tolist(),
    )
