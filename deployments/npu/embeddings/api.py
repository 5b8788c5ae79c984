"""`POST /v1/embeddings` as OpenAI has it."""

import asyncio
import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.disconnect import unless_disconnected
from deployments.npu.embeddings.schemas import EmbeddingList, EmbeddingRequest, encode_base64
from deployments.npu.embeddings.service import Embedded, Embedder
from deployments.npu.error_responses import OPENAI, error_responses, origin_headers


def embedding_routes(embedder: Embedder, engine: str) -> APIRouter:
    """Return the OpenAI endpoint around ``embedder``; ``engine`` goes into a header."""
    router = APIRouter(tags=["npu"])

    @router.post(
        "/v1/embeddings",
        response_model=EmbeddingList,
        responses=error_responses(
            OPENAI, {400: "A text is empty or too long", 404: "No such model"}
        ),
    )
    async def embeddings(
        body: EmbeddingRequest,
        request: Request,
        key: Annotated[KeyRecord, Depends(require("npu"))],
    ) -> Response:
        """Turn texts into vectors of length one."""
        work = embedder.embed(body.texts, body.model, body.dimensions, key=key.id)
        embedded = await unless_disconnected(request, work)
        # Writing thousands of numbers takes long enough to be felt by everybody else.
        content = await asyncio.to_thread(_written, embedded, body.encoding_format == "base64")
        headers = origin_headers(embedded.model, embedded.device, engine)
        return Response(content, media_type="application/json", headers=headers)

    return router


def _written(embedded: Embedded, base64: bool) -> bytes:
    """The answer as JSON, one vector at a time: the interpreter is free for others in between."""
    pieces: list[str] = []
    for index, vector in enumerate(embedded.vectors):
        value = f'"{encode_base64(vector)}"' if base64 else json.dumps(vector.tolist())
        pieces.append(f'{{"object":"embedding","index":{index},"embedding":{value}}}')
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    rest = json.dumps({"model": embedded.model, "usage": usage})
    return f'{{"object":"list","data":[{",".join(pieces)}],{rest[1:]}'.encode()
