"""Engine events as OpenAI's response object and its stream of named events."""

import json
import time
from collections.abc import Iterator
from typing import Any

from deployments.llm.chat.serializers import new_id
from deployments.llm.chat.tools import Calls, ToolCall
from deployments.llm.engine import Delta, Finish
from deployments.llm.responses.schemas import ResponseRequest

Json = dict[str, Any]


class ResponseWriter:
    """Builds one response, and says what changed as events. `dropped` messages were left out of
    the prompt because the client asked for ``truncation: auto``."""

    def __init__(self, body: ResponseRequest, model: str, dropped: int) -> None:
        self._number = 0
        self._text: Json | None = None
        self.response: Json = {
            "id": new_id("resp").replace("-", "_"),
            "object": "response",
            "created_at": int(time.time()),
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "model": model,
            "output": [],
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": body.previous_response_id,
            "reasoning": {"effort": None, "summary": None},
            "store": body.store,
            "temperature": body.temperature,
            "text": {"format": _format(body)},
            "tool_choice": _plain(body.tool_choice),
            "tools": [tool.model_dump() | {"strict": True} for tool in body.tools],
            "top_p": body.top_p,
            "truncation": body.truncation or "disabled",
            "usage": None,
            "user": body.user,
            "metadata": body.metadata or {},
            "autobot": {"dropped_messages": dropped},
        }

    def begin(self) -> Iterator[bytes]:
        """The stream's first two events. They show the response before any of it is said."""
        yield self._event("response.created", response=self.response)
        yield self._event("response.in_progress", response=self.response)

    def add(self, event: Delta | Calls | Finish) -> Iterator[bytes]:
        """Take one event of the engine, and yield what it changes.

        Read this to its end: only then does `response` hold the whole event.
        """
        if isinstance(event, Delta):
            yield from self._say(event.text)
        elif isinstance(event, Calls):
            for call in event.calls:
                yield from self._call(call)
        else:
            yield from self._close_text()
            self._finish(event)

    def end(self) -> bytes:
        """The stream's last event, named after the status, which `Finish` has to set before."""
        return self._event(f"response.{self.response['status']}", response=self.response)

    def fail(self, code: str, message: str) -> bytes:
        """Mark the response as failed, and return the stream's last event."""
        self.response |= {"status": "failed", "error": {"code": code, "message": message}}
        return self._event("response.failed", response=self.response)

    def _say(self, text: str) -> Iterator[bytes]:
        if self._text is None:
            item: Json = {
                "type": "message",
                "id": new_id("msg").replace("-", "_"),
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            yield self._event("response.output_item.added", **self._placed(), item=item)
            self._text = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            item["content"].append(self._text)
            self.response["output"].append(item)
            yield self._event("response.content_part.added", **self._part(), part=self._text)
        self._text["text"] += text
        yield self._event("response.output_text.delta", **self._part(), delta=text, logprobs=[])

    def _close_text(self) -> Iterator[bytes]:
        if self._text is None:
            return
        item = self.response["output"][-1]
        item["status"] = "completed"
        text = self._text["text"]
        yield self._event("response.output_text.done", **self._part(), text=text, logprobs=[])
        yield self._event("response.content_part.done", **self._part(), part=self._text)
        yield self._event("response.output_item.done", **self._placed(-1), item=item)
        self._text = None

    def _call(self, call: ToolCall) -> Iterator[bytes]:
        arguments = call.arguments_json
        item: Json = {
            "type": "function_call",
            "id": new_id("fc").replace("-", "_"),
            "call_id": call.id,
            "name": call.name,
            "arguments": "",
            "status": "in_progress",
        }
        place = self._placed()
        of_item = place | {"item_id": item["id"]}
        yield self._event("response.output_item.added", **place, item=item)
        item |= {"arguments": arguments, "status": "completed"}
        self.response["output"].append(item)
        yield self._event("response.function_call_arguments.delta", **of_item, delta=arguments)
        done = of_item | {"arguments": arguments, "name": call.name}
        yield self._event("response.function_call_arguments.done", **done)
        yield self._event("response.output_item.done", **place, item=item)

    def _finish(self, finish: Finish) -> None:
        cut = finish.reason == "length"
        self.response |= {
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "usage": {
                "input_tokens": finish.prompt_tokens,
                "input_tokens_details": {
                    "cached_tokens": finish.cached_tokens,
                    "cache_write_tokens": 0,
                },
                "output_tokens": finish.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": finish.prompt_tokens + finish.completion_tokens,
            },
        }

    def _placed(self, offset: int = 0) -> Json:
        return {"output_index": len(self.response["output"]) + offset}

    def _part(self) -> Json:
        item = self.response["output"][-1]
        return self._placed(-1) | {"item_id": item["id"], "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> bytes:
        body = {"type": kind, "sequence_number": self._number} | fields
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(body)}\n\n".encode()


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else value.model_dump()


def _format(body: ResponseRequest) -> Json:
    form = body.text.format
    if form.type != "json_schema":
        return {"type": form.type}
    return {"type": form.type, "name": form.name, "schema": form.schema_, "strict": True}
