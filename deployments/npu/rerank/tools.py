"""The tool `npu.rerank`."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from autobot.contracts.tools import ToolCall
from autobot.tools.tool import Arguments, Tool
from deployments.npu.embeddings.schemas import Text
from deployments.npu.rerank.service import MAX_DOCUMENTS, Reranker


class RerankArguments(Arguments):
    query: Text
    documents: Annotated[list[Text], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True)]
    top: int | None = Field(None, ge=1, description="How many of the best; all when not given.")
    model: Text = Field("default", description="`default`, or the name of a model.")


class RankedDocument(BaseModel):
    index: int = Field(description="Of the document in the arguments, from 0.")
    score: float = Field(description="Higher is better; compare within one answer only.")
    document: str


class RerankResult(BaseModel):
    """Best first."""

    ranking: list[RankedDocument]
    model: str
    device: str


def rerank_tools(reranker: Reranker) -> list[Tool[Any, Any]]:
    """Return the tool around ``reranker``."""

    async def rerank(given: RerankArguments, call: ToolCall) -> RerankResult:
        ranked = await reranker.rerank(
            given.query, given.documents, given.model, given.top, call.caller.id
        )
        ranking = [
            RankedDocument(index=index, score=round(score, 6), document=given.documents[index])
            for index, score in ranked.ranking
        ]
        return RerankResult(ranking=ranking, model=ranked.model, device=ranked.device)

    return [
        Tool(
            name="npu.rerank",
            title="Order texts by relevance",
            description="Order documents by how well each answers a query, best first.",
            arguments=RerankArguments,
            result=RerankResult,
            run=rerank,
            scopes=("npu",),
        )
    ]
