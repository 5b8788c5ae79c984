"""Engine events as Ollama's newline-delimited JSON."""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from autobot.errors import AutoBotError
from autobot.web.disconnect import EventStream, Source
from deployments.llm.chat.tool_chat import RoomEvent
from deployments.llm.chat.tools import Calls
from deployments.llm.engine import Chat, Delta, Finish, ModelCard, Start

NS = 1_000_000_000
FOR_EVER = "2318-01-01T00:00:00Z"


class NdJson(EventStream):
    """JSON objects, one a line."""

    def __init__(
        self,
        lines: AsyncGenerator[bytes, None],
        source: Source,
        headers: dict[str, str],
    ) -> None:
        super().__init__(lines, source, headers)
        self.headers["content-type"] = "application/x-ndjson"


class Lines:
    """One answer in parts; `chat` decides whether text is a message's or a response's."""

    def __init__(self, start: Start, began: float, chat: bool) -> None:
        """`began` is the monotonic time of the request."""
        self._model = start.model
        self._began = began
        self._started = time.monotonic()
        self._chat = chat

    async def of(self, chat: Chat[RoomEvent]) -> AsyncGenerator[bytes, None]:
        """One line for each event. An error after the first ends the stream with Ollama's error
        object, never with `done`."""
        try:
            async for event in chat:
                yield line(self.part(event))
        except AutoBotError as error:
            yield line({"error": error.detail})

    def part(self, event: RoomEvent) -> dict[str, Any]:
        """The object of one event; that of `Finish` is marked as done. Only chats have `Calls`."""
        if isinstance(event, Delta):
            return self._head(event.text)
        if isinstance(event, Calls):
            calls = [
                {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
                for call in event.calls
            ]
            part = self._head("")
            part["message"]["tool_calls"] = calls
            return part
        return self._head("") | self.end(event)

    def end(self, finish: Finish) -> dict[str, Any]:
        """Counts are the engine's; the time until the first word is reading the prompt."""
        now = time.monotonic()
        return {
            "done": True,
            "done_reason": finish.reason,
            "total_duration": int((now - self._began) * NS),
            "load_duration": 0,
            "prompt_eval_count": finish.prompt_tokens,
            "prompt_eval_duration": int((self._started - self._began) * NS),
            "eval_count": finish.completion_tokens,
            "eval_duration": int((now - self._started) * NS),
        }

    def _head(self, text: str) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        words = {"message": message} if self._chat else {"response": text}
        return {"model": self._model, "created_at": stamp(), **words, "done": False}

    async def whole(self, chat: Chat[RoomEvent]) -> dict[str, Any]:
        """The answer in one object. Reads the chat to its end and closes it."""
        async with aclosing(chat):
            events = [event async for event in chat]
        parts = [self.part(event) for event in events]
        whole = parts[-1]
        if not self._chat:
            return whole | {"response": "".join(part["response"] for part in parts)}
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        for part in parts:
            message["content"] += part["message"]["content"]
            message |= {k: v for k, v in part["message"].items() if k == "tool_calls"}
        return whole | {"message": message}


def line(value: dict[str, Any]) -> bytes:
    """The object as a line of the stream, in UTF-8 with its newline."""
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def stamp(seconds: float | None = None) -> str:
    """A time in RFC 3339, UTC. `seconds` are since the epoch; None is now."""
    moment = datetime.fromtimestamp(time.time() if seconds is None else seconds, UTC)
    return moment.isoformat().replace("+00:00", "Z")


def tag(card: ModelCard) -> dict[str, Any]:
    """One entry of `/api/tags`."""
    return {
        "name": card.name,
        "model": card.name,
        "modified_at": stamp(card.created),
        "size": card.size,
        "digest": card.digest,
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "",
            "families": None,
            "parameter_size": "",
            "quantization_level": "",
            **card.details,
        },
    }


def running(card: ModelCard) -> dict[str, Any]:
    """One entry of `/api/ps`. What stays for ever has a date far away, as Ollama writes it."""
    return tag(card) | {
        "expires_at": FOR_EVER if card.expires is None else stamp(card.expires),
        "size_vram": card.vram,
        "context_length": card.context,
    }
