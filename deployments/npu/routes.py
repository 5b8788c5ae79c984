"""`POST /v1/embeddings` as OpenAI has it, and `POST /api/ocr`."""

import asyncio
import json
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from autobot.errors import Invalid
from autobot.web.auth import require
from autobot.web.hangup import unless_hung_up
from deployments.npu.embedding import Embedded, Embedder
from deployments.npu.ocr import MAX_IMAGE_BYTES, Reader, too_large
from deployments.npu.schemas import EmbeddingList, EmbeddingRequest, OcrAnswer, encode_base64

REFUSALS: dict[int, str] = {
    401: "No API key, or an unknown one",
    403: "The key lacks the scope `npu`",
    413: "More than one request may carry",
    422: "A value is not acceptable",
    429: "The queue is full",
    503: "The engine is not available",
}
OCR_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}},
            }
        },
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    },
}


def embedding_routes(embedder: Embedder, engine: str) -> APIRouter:
    """Return the OpenAI endpoint around ``embedder``; ``engine`` goes into a header."""
    router = APIRouter(tags=["npu"], dependencies=[Depends(require("npu"))])
    refusals = {400: "A text is empty or too long", 404: "No such model", **REFUSALS}

    @router.post(
        "/v1/embeddings",
        response_model=EmbeddingList,
        responses=_refusals("application/json", refusals),
    )
    async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
        """Turn texts into vectors of length one."""
        work = embedder.embed(body.texts, body.model, body.dimensions)
        embedded = await unless_hung_up(request, work)
        # Writing thousands of numbers takes long enough to be felt by everybody else.
        content = await asyncio.to_thread(_written, embedded, body.encoding_format == "base64")
        headers = {
            "x-autobot-model": embedded.model,
            "x-autobot-device": embedded.device,
            "x-autobot-engine": engine,
        }
        return Response(content, media_type="application/json", headers=headers)

    return router


def ocr_routes(reader: Reader, engine: str) -> APIRouter:
    """Return the OCR endpoint around ``reader``; ``engine`` goes into the answer."""
    router = APIRouter(tags=["npu"], dependencies=[Depends(require("npu"))])

    @router.post(
        "/api/ocr",
        openapi_extra={"requestBody": OCR_BODY},
        responses=_refusals("application/problem+json", REFUSALS),
    )
    async def ocr(request: Request, response: Response) -> OcrAnswer:
        """Read the text in an image: the bytes as the body, or a form with a field `file`."""
        image = await _image_of(request)
        reading = await unless_hung_up(request, reader.read(image))
        response.headers["x-autobot-model"] = reading.model
        response.headers["x-autobot-device"] = reading.device
        response.headers["x-autobot-engine"] = engine
        return OcrAnswer.of(reading, engine)

    return router


def _refusals(media_type: str, refusals: dict[int, str]) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"description": text, "content": {media_type: {}}}
        for status, text in refusals.items()
    }


def _written(embedded: Embedded, base64: bool) -> bytes:
    """The answer as JSON, one vector at a time: the interpreter is free for others in between."""
    pieces: list[str] = []
    for index, vector in enumerate(embedded.vectors):
        value = f'"{encode_base64(vector)}"' if base64 else json.dumps(vector.tolist())
        pieces.append(f'{{"object":"embedding","index":{index},"embedding":{value}}}')
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    rest = json.dumps({"model": embedded.model, "usage": usage})
    return f'{{"object":"list","data":[{",".join(pieces)}],{rest[1:]}'.encode()


async def _image_of(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return await (_uploaded(request) if kind == "multipart/form-data" else _body(request))


async def _body(request: Request) -> bytes:
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > MAX_IMAGE_BYTES:
            raise too_large(int(request.headers.get("content-length", len(received))))
    return bytes(received)


async def _uploaded(request: Request) -> bytes:
    async with request.form(max_files=1, max_fields=8) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise Invalid("The form has no file in a field called `file`.")
        if (file.size or 0) > MAX_IMAGE_BYTES:
            raise too_large(file.size or 0)
        return await file.read()
