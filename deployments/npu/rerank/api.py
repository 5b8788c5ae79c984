"""`POST /v1/rerank` as Cohere and Jina have it."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.disconnect import unless_disconnected
from deployments.npu.embeddings.schemas import Text
from deployments.npu.error_responses import OPENAI, error_responses, origin_headers
from deployments.npu.rerank.service import MAX_DOCUMENTS, Ranked, Reranker


class Document(BaseModel):
    """A document as an object; only its text is read."""

    text: Text


class RerankRequest(BaseModel):
    model: Text = Field("default", description="`default`, or the name of a model.")
    query: Text
    documents: list[Text | Document] = Field(
        min_length=1,
        max_length=MAX_DOCUMENTS,
        fail_fast=True,
        description="Texts, or objects with a `text`. None is cut: long ones are read in parts.",
    )
    top_n: int | None = Field(None, ge=1, description="How many results; all when not given.")
    return_documents: bool = Field(False, description="Whether results repeat their text.")

    @property
    def texts(self) -> list[str]:
        """The documents' texts, in the order of the request: results name them by their index."""
        return [found if isinstance(found, str) else found.text for found in self.documents]


class RerankResult(BaseModel):
    index: int = Field(description="Of the document in the request.")
    relevance_score: float = Field(description="Higher is better; compare within one answer only.")
    document: Document | None = None


class RerankUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class RerankAnswer(BaseModel):
    """Best first. ``method`` says how the scores came about, ``model`` which model made them."""

    id: str
    model: str
    method: str
    results: list[RerankResult]
    usage: RerankUsage


def rerank_routes(reranker: Reranker, engine: str) -> APIRouter:
    """Return the endpoint around ``reranker``; ``engine`` goes into a header."""
    router = APIRouter(tags=["npu"])
    refused = {400: "A text is empty or the query too long", 404: "No such model"}

    @router.post(
        "/v1/rerank", response_model_exclude_none=True, responses=error_responses(OPENAI, refused)
    )
    async def rerank(
        body: RerankRequest,
        request: Request,
        response: Response,
        key: Annotated[KeyRecord, Depends(require("npu"))],
    ) -> RerankAnswer:
        """Order documents by how well they answer a query."""
        work = reranker.rerank(body.query, body.texts, body.model, body.top_n, key.id)
        ranked = await unless_disconnected(request, work)
        response.headers.update(origin_headers(ranked.model, ranked.device, engine))
        return _answer(ranked, body)

    return router


def _answer(ranked: Ranked, body: RerankRequest) -> RerankAnswer:
    texts = body.texts
    results = [
        RerankResult(
            index=index,
            relevance_score=round(score, 6),
            document=Document(text=texts[index]) if body.return_documents else None,
        )
        for index, score in ranked.ranking
    ]
    return RerankAnswer(
        id=str(uuid.uuid4()),
        model=ranked.model,
        method=ranked.method,
        results=results,
        usage=RerankUsage(prompt_tokens=ranked.tokens, total_tokens=ranked.tokens),
    )
