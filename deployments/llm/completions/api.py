"""`/v1/completions`."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from autobot.errors import AutoBotError
from autobot.web.disconnect import EventStream, unless_disconnected
from deployments.llm.chat import serializers
from deployments.llm.chat.api import Key, authorised, or_gone
from deployments.llm.chat.n_sampling import Answer, Indexed, IndexedEvents, choices, collect
from deployments.llm.chat.service import ChatService
from deployments.llm.completions.schemas import (
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
)
from deployments.llm.engine import Chat, Delta, Finish, Start, TokenLogprob


def completion_routes(service: ChatService) -> APIRouter:
    """The route of ``service``; it needs a key of scope `llm`."""
    router = APIRouter(tags=["chat"], dependencies=[Depends(authorised)])

    @router.post("/v1/completions", response_model=Completion)
    @or_gone
    async def create_completion(body: CompletionRequest, request: Request, key: Key) -> Response:
        """Continue a text; with `stream` as server-sent events of `text_completion`."""
        requests = [replace(one, caller=key.id) for one in body.to_engine()]
        chat = await unless_disconnected(request, choices(service, requests))
        if body.max_tokens == 0:
            chat = Chat(chat.start, _only_read(chat), aclosing(chat))
        if body.stream:
            stream = _Stream(body, chat.start).of(chat)
            return EventStream(stream, chat, serializers.headers(chat.start))
        answers = await unless_disconnected(request, collect(chat, len(requests)))
        whole = _completion(chat.start, _choices(body, answers))
        finishes = [answer.finish for answer in answers]
        whole.usage = serializers.usage(finishes, per_prompt=body.n or 1)
        whole.system_fingerprint = finishes[-1].fingerprint
        return JSONResponse(whole.model_dump(), headers=serializers.headers(chat.start))

    return router


async def _only_read(chat: Chat[Indexed]) -> IndexedEvents:
    """Engines that read a prompt also write a token, which nobody asked for: it is left out."""
    async for index, event in chat:
        if isinstance(event, Finish):
            event = replace(event, reason="length", completion_tokens=0)
        if not isinstance(event, Delta):
            yield index, event


def _completion(start: Start, choices: list[CompletionChoice]) -> Completion:
    return Completion(
        id=serializers.new_id("cmpl"), created=int(time.time()), model=start.model, choices=choices
    )


def _choices(body: CompletionRequest, answers: Sequence[Answer]) -> list[CompletionChoice]:
    return [
        CompletionChoice(
            index=index,
            text=_echoed(body, index) + answer.text,
            logprobs=_logprobs(answer.logprobs, 0) if answer.logprobs else None,
            finish_reason=answer.finish.reason,
        )
        for index, answer in enumerate(answers)
    ]


def _echoed(body: CompletionRequest, index: int) -> str:
    return body.prompts[index // (body.n or 1)] if body.echo else ""


def _logprobs(tokens: Sequence[TokenLogprob], offset: int) -> CompletionLogprobs:
    """OpenAI's older shape: lists side by side; offsets are characters of the answer."""
    offsets: list[int] = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return CompletionLogprobs(
        tokens=[token.token for token in tokens],
        token_logprobs=[token.logprob for token in tokens],
        top_logprobs=[{one.token: one.logprob for one in token.top} for token in tokens],
        text_offset=offsets,
    )


class _Stream:
    def __init__(self, body: CompletionRequest, start: Start) -> None:
        self._body = body
        self._frame = _completion(start, [])
        self._lengths: dict[int, int] = {}

    async def of(self, chat: Chat[Indexed]) -> AsyncGenerator[bytes, None]:
        """As in chats, an error ends the stream without `[DONE]`."""
        finishes: dict[int, Finish] = {}
        try:
            if self._body.echo:
                for index in range(len(self._body.to_engine())):
                    yield self._chunk(index, Delta(_echoed(self._body, index)))
            async for index, event in chat:
                if isinstance(event, Delta):
                    yield self._chunk(index, event)
                elif isinstance(event, Finish):
                    finishes[index] = event
                    yield self._chunk(index, Delta(""), event)
        except AutoBotError as error:
            yield serializers.failed(error)
            return
        if self._body.wants_usage:
            ordered = [finishes[index] for index in sorted(finishes)]
            usage = serializers.usage(ordered, per_prompt=self._body.n or 1)
            fingerprint = ordered[-1].fingerprint
            whole = self._frame.model_copy(
                update={"usage": usage, "system_fingerprint": fingerprint}
            )
            yield f"data: {whole.model_dump_json()}\n\n".encode()
        yield serializers.DONE

    def _chunk(self, index: int, event: Delta, finish: Finish | None = None) -> bytes:
        offset = self._lengths.get(index, 0)
        self._lengths[index] = offset + len(event.text)
        choice = CompletionChoice(
            index=index,
            text=event.text,
            logprobs=_logprobs(event.logprobs, offset) if event.logprobs else None,
            finish_reason=finish.reason if finish else None,
        )
        fingerprint = finish.fingerprint if finish else None
        chunk = self._frame.model_copy(
            update={"choices": [choice], "system_fingerprint": fingerprint}
        )
        return f"data: {chunk.model_dump_json()}\n\n".encode()
