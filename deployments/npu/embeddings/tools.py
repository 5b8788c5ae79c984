"""The tool `npu.embed`."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from autobot.contracts.tools import ToolCall
from autobot.tools.tool import Arguments, Tool
from deployments.npu.embeddings.schemas import Text
from deployments.npu.embeddings.service import Embedder

MOST_TEXTS = 128
"""Of one call: a result is JSON that a journal and a model may have to hold. The route of
embeddings takes more."""


class EmbedArguments(Arguments):
    texts: Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS, fail_fast=True)]
    model: Text = Field("default", description="`default`, or the name of an embedding model.")


class EmbedResult(BaseModel):
    """One vector of length one for each text, in their order."""

    embeddings: list[list[float]]
    model: str
    device: str
    tokens: int


def embedding_tools(embedder: Embedder) -> list[Tool[Any, Any]]:
    """Return the tool around ``embedder``."""

    async def embed(given: EmbedArguments, call: ToolCall) -> EmbedResult:
        made = await embedder.embed(given.texts, given.model, key=call.caller.id)
        vectors = [vector.tolist() for vector in made.vectors]
        return EmbedResult(
            embeddings=vectors, model=made.model, device=made.device, tokens=made.tokens
        )

    return [
        Tool(
            name="npu.embed",
            title="Embed texts",
            description="Turn texts into vectors whose closeness is closeness of meaning.",
            arguments=EmbedArguments,
            result=EmbedResult,
            run=embed,
            scopes=("npu",),
        )
    ]
