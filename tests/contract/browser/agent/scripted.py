"""An OpenAI-compatible model that follows a script: deterministic, but blind without the prompt.

It knows elements by name only and finds their references in the page it is shown; what is not on
the page it cannot use, and then it says so. A step that has been done is known from the prompt.
"""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deployments.browser.agent import check
from tests.contract.browser.agent.jobs import JOBS, Move

Reply = dict[str, Any]


@dataclass
class Scripted:
    """``others`` are scripts by goal beside the jobs' own; ``outputs`` are said in their order.

    ``answers`` are said, by goal, to whether a page gives the answer; else that is "not yet".
    """

    others: dict[str, list[Reply]] = field(default_factory=dict[str, list[Reply]])
    outputs: list[Any] = field(default_factory=list[Any])
    answers: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    checked: list[str] = field(default_factory=list[str])
    asked: list[str] = field(default_factory=list[str])
    keys: set[str] = field(default_factory=set[str])
    slow_s: float = 0.0
    status: int = 200

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/v1/chat/completions", self._chat, methods=["POST"])])

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.keys.add(request.headers["authorization"])
        if self.status != 200:
            said = {"message": "no model today", "type": "server_error", "code": "unavailable"}
            return JSONResponse({"error": said}, self.status)
        form = body["response_format"]["json_schema"]
        text = body["messages"][-1]["content"]
        whole = "\n".join(str(m["content"]) for m in body["messages"])
        if form["name"] == check.NAME:
            self.checked.append(whole)
            answers = self.answers.get(text.rpartition("\n\n")[2])
            if not answers:
                return self._say(body, {"answer": check.NOT_YET})
            await asyncio.sleep(self.slow_s)
            return self._say(body, {"answer": answers.pop(0)})
        self.asked.append(whole)
        await asyncio.sleep(self.slow_s)
        said = self.outputs.pop(0) if form["name"] == "output" else self.step(text, form["schema"])
        return self._say(body, said)

    def _say(self, body: dict[str, Any], said: Any) -> Response:
        text = body["messages"][-1]["content"]
        message = {"role": "assistant", "content": json.dumps(said)}
        usage = {"prompt_tokens": len(text) // 4, "completion_tokens": 20}
        return JSONResponse(
            {
                "id": "c",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {**usage, "total_tokens": sum(usage.values())},
            }
        )

    def step(self, prompt: str, schema: dict[str, Any]) -> Reply:
        found = re.search(r"^Goal: (.*)$", prompt, re.M)
        goal = found[1] if found else ""
        if replies := self.others.get(goal):
            reply = replies.pop(0) if len(replies) > 1 else replies[0]
            return named(reply, prompt)
        job = next(job for job in JOBS if job.goal == goal)
        done = len(re.findall(r"^\d+\. ", prompt.partition("Steps so far:")[2], re.M))
        if done < len(job.moves):
            return named(move(job.moves[done]), prompt)
        page = prompt.rpartition("\nPage: ")[2]
        answer = re.search(job.said, page)
        return reply_of("done", text=answer[1] if answer else "not on this page")


def move(it: Move) -> Reply:
    kind, name, *text = it
    extra: dict[str, Any] = {"submit": False} if kind == "type" else {}
    return reply_of(kind, ref=f"={name}", **({"text": text[0]} if text else {}), **extra)


def reply_of(kind: str, **fields: Any) -> Reply:
    seen = {"seen": f"the script says {kind}"}
    if kind == "done":
        return {**seen, "next": {"reached": True, "answer": fields["text"]}}
    return {**seen, "next": {"reached": False, "action": {"kind": kind, **fields}}}


def named(reply: Reply, prompt: str) -> Reply:
    """Replace the name in ``ref`` by the reference that the page shows for it."""
    action = reply["next"].get("action", {})
    ref = str(action.get("ref", ""))
    if not ref.startswith("="):
        return reply
    page = prompt.rpartition("\nPage: ")[2]
    found = re.search(rf'\[((?:f\d+)?e\d+)\] \w+ "{re.escape(ref[1:])}"', page)
    if found is None:
        return reply_of("done", text=f"there is no {ref[1:]}")
    return {**reply, "next": {**reply["next"], "action": {**action, "ref": found[1]}}}
