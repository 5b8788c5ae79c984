"""Engine events as OpenAI's JSON. A chunk is a string made from its head: one per token counts."""

import json
import secrets
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from autobot.errors import AutoBotError
from autobot.web.problems import openai_error
from deployments.llm.chat import answers as schemas
from deployments.llm.chat.n_sampling import Answer, Indexed
from deployments.llm.chat.schemas import CalledFunction
from deployments.llm.chat.tools import Calls, ToolCall
from deployments.llm.engine import Chat, Delta, Finish, ModelCard, Start, TokenLogprob
from deployments.llm.engines import fallback

DONE = b"data: [DONE]\n\n"


def headers(start: Start) -> dict[str, str]:
    """Where the answer was made. Header values are Latin-1: a model's name may be anything."""
    values = {"engine": start.engine, "model": start.model, "device": start.device}
    if start.fallback:
        values["fallback"] = " ".join(start.fallback.split())[:500]
    return {
        f"x-autobot-{name}": value.encode("ascii", "backslashreplace").decode()
        for name, value in values.items()
    }


def model(card: ModelCard, default: str | None) -> schemas.Model:
    """`default` is the name of the owner's choice: that one model is marked as the default."""
    is_list = card.engine == fallback.NAME
    return schemas.Model(
        id=card.name,
        created=card.created,
        owned_by=f"{card.engine}: {card.details['places']}" if is_list else "autobot",
        engine=card.engine,
        context=card.context,
        loaded=card.loaded,
        default=card.name == default,
    )


def usage(finishes: Sequence[Finish], per_prompt: int | None = None) -> schemas.ChatUsage:
    """A prompt counts once however many choices were made of it: `per_prompt`, or all.

    It counts, and what of it was cached, as for the first of these; `finishes` are in their order.
    """
    firsts = finishes[:: per_prompt or len(finishes)]
    prompt = sum(finish.prompt_tokens for finish in firsts)
    cached = sum(finish.cached_tokens for finish in firsts)
    completion = sum(finish.completion_tokens for finish in finishes)
    return schemas.ChatUsage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=schemas.PromptDetails(cached_tokens=cached),
    )


def completion(answers: Sequence[Answer]) -> schemas.ChatCompletion:
    """Choices in the order of `answers`. The model is the first's, the fingerprint the last's."""
    return schemas.ChatCompletion(
        id=new_id("chatcmpl"),
        created=int(time.time()),
        model=answers[0].start.model,
        choices=[_choice(index, answer) for index, answer in enumerate(answers)],
        usage=usage([answer.finish for answer in answers]),
        system_fingerprint=answers[-1].finish.fingerprint,
    )


def _choice(index: int, answer: Answer) -> schemas.Choice:
    calls = [called(call) for call in answer.calls]
    return schemas.Choice(
        index=index,
        message=schemas.AssistantMessage(
            content=answer.text or ("" if not calls else None), tool_calls=calls or None
        ),
        logprobs=logprobs(answer.logprobs) if answer.logprobs else None,
        finish_reason="tool_calls" if calls else answer.finish.reason,
    )


def called(call: ToolCall) -> schemas.AnsweredCall:
    """The call in OpenAI's form, in which the arguments are a text of JSON."""
    function = CalledFunction(name=call.name, arguments=call.arguments_json)
    return schemas.AnsweredCall(id=call.id, function=function)


def logprobs(tokens: Sequence[TokenLogprob]) -> schemas.Logprobs:
    """Natural logarithms, as engines give them. `bytes` is each token's text in UTF-8."""
    return schemas.Logprobs(
        content=[
            schemas.LogprobToken(
                token=token.token,
                logprob=token.logprob,
                bytes=list(token.token.encode()),
                top_logprobs=[
                    schemas.TopLogprob(
                        token=other.token, logprob=other.logprob, bytes=list(other.token.encode())
                    )
                    for other in token.top
                ],
            )
            for token in tokens
        ]
    )


class Chunks:
    """Server-sent events of one request's choices."""

    def __init__(self, start: Start, n: int, wants_usage: bool) -> None:
        self._base: dict[str, Any] = {
            "id": new_id("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": start.model,
        }
        self._n = n
        self._wants_usage = wants_usage
        self._tail = ', "usage": null}\n\n' if wants_usage else "}\n\n"
        self._head = f'data: {json.dumps(self._base)[:-1]}, "choices": [{{"index": '

    async def of(self, chat: Chat[Indexed]) -> AsyncGenerator[bytes, None]:
        """An error after the first byte can no longer change the status: it is sent as an event,
        and the stream then ends without `[DONE]`, so no client takes half an answer for a whole."""
        for index in range(self._n):
            yield self._chunk(index, '{"role": "assistant", "content": ""}')
        finishes: dict[int, Finish] = {}
        called: set[int] = set()
        try:
            async for index, event in chat:
                if isinstance(event, Delta):
                    yield self._delta(index, event)
                elif isinstance(event, Calls):
                    called.add(index)
                    yield self._chunk(index, json.dumps({"tool_calls": _call_deltas(event)}))
                elif isinstance(event, Finish):
                    finishes[index] = event
                    reason = "tool_calls" if index in called else event.reason
                    yield self._last(index, reason, event.fingerprint)
        except AutoBotError as error:
            yield failed(error)
            return
        if self._wants_usage:
            whole = self._base | {
                "choices": [],
                "usage": usage([finishes[index] for index in sorted(finishes)]).model_dump(),
                "system_fingerprint": next(reversed(finishes.values())).fingerprint,
            }
            yield f"data: {json.dumps(whole)}\n\n".encode()
        yield DONE

    def _delta(self, index: int, event: Delta) -> bytes:
        tokens = logprobs(event.logprobs).model_dump_json() if event.logprobs else "null"
        return self._chunk(index, f'{{"content": {json.dumps(event.text)}}}', logprobs=tokens)

    def _last(self, index: int, reason: str, fingerprint: str | None) -> bytes:
        choice = {"index": index, "logprobs": None, "delta": {}, "finish_reason": reason}
        whole = self._base | {"choices": [choice], "system_fingerprint": fingerprint}
        if self._wants_usage:
            whole["usage"] = None
        return f"data: {json.dumps(whole)}\n\n".encode()

    def _chunk(self, index: int, delta: str, reason: str = "null", logprobs: str = "null") -> bytes:
        return (
            f'{self._head}{index}, "logprobs": {logprobs}, "delta": {delta}, '
            f'"finish_reason": {reason}}}]{self._tail}'
        ).encode()


def _call_deltas(event: Calls) -> list[dict[str, Any]]:
    return [{"index": i, **called(call).model_dump()} for i, call in enumerate(event.calls)]


def failed(error: AutoBotError) -> bytes:
    """The error as a server-sent event, for a stream whose status was sent before it."""
    body = openai_error(error.status, error.type, error.detail)
    return f"data: {json.dumps(body)}\n\n".encode()


def new_id(kind: str) -> str:
    """An id of an answer: `kind`, a hyphen and 24 random hexadecimal digits."""
    return f"{kind}-{secrets.token_hex(12)}"
