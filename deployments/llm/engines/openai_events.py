"""Reading an OpenAI-shaped answer: the server-sent events of chats and of raw completions."""

import json
from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from autobot.errors import Unavailable
from deployments.llm.engine import Delta, Finish, TokenLogprob


async def read_events(
    pieces: AsyncIterable[bytes], engine: str
) -> AsyncGenerator[Delta | Finish, None]:
    """Text as it comes, then the end, whose counts are the server's: usage follows the last text.

    Raises `Unavailable` when the server reports an error in its stream or stops before its end.
    """
    reason, rest, finish, fingerprint = "", b"", None, None
    async for data in pieces:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if not line.startswith(b"data: {"):
                continue  # blank separators, keep-alive comments, [DONE]
            chunk: dict[str, Any] = json.loads(line[6:])
            fingerprint = chunk.get("system_fingerprint") or fingerprint
            for choice in chunk.get("choices", ()):
                reason = choice.get("finish_reason") or reason
                text = choice["delta"].get("content") if "delta" in choice else choice.get("text")
                if text:
                    yield Delta(text, _logprobs(choice.get("logprobs") or {}))
            if usage := chunk.get("usage"):
                finish = _finish(reason, usage, fingerprint)
            elif error := chunk.get("error"):
                words = error.get("message") if isinstance(error, dict) else error
                raise Unavailable(f"{engine} stopped: {words}")
    if finish is None:
        raise Unavailable(f"{engine} ended the answer before it was complete.")
    yield finish


def _logprobs(value: dict[str, Any]) -> tuple[TokenLogprob, ...]:
    """Those of chats, a list of objects, and OpenAI's older form, lists side by side."""
    if "tokens" in value:
        pairs = zip(value["tokens"], value["token_logprobs"], strict=True)
        others = value.get("top_logprobs") or [{}] * len(value["tokens"])
        return tuple(
            TokenLogprob(token, logprob, tuple(TokenLogprob(*one) for one in (top or {}).items()))
            for (token, logprob), top in zip(pairs, others, strict=True)
        )
    return tuple(
        TokenLogprob(
            entry["token"],
            entry["logprob"],
            tuple(TokenLogprob(t["token"], t["logprob"]) for t in entry.get("top_logprobs", ())),
        )
        for entry in value.get("content") or ()
    )


def _finish(reason: str, usage: dict[str, Any], fingerprint: str | None) -> Finish:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Finish(
        "length" if reason == "length" else "stop",
        usage["prompt_tokens"],
        usage["completion_tokens"],
        cached,
        fingerprint,
    )
