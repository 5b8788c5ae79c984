"""What the agent may do in one step, as a JSON schema made for the page it is looking at.

The model is decoded under that schema, so a reference that is not on the page, or a text typed into
a link, cannot be said at all: a small model's commonest mistakes are gone before they are made.
"""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from deployments.browser.agent.observation.view import Element
from deployments.browser.chat_model.model import Schema

Kind = Literal["goto", "click", "type", "select", "scroll", "back", "read", "wait", "ask", "done"]

MOST_SEEN = 160
MOST_SAID = 400
MOST_ANSWER = 1200
NAMED: Schema = {"type": "string", "minLength": 1}


class Do(BaseModel):
    """One action. Which fields it has depends on ``kind``; the schema sees to that."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind
    ref: str = ""
    text: str = Field(default="", max_length=4000)
    submit: bool = False

    def describe(self, element: Element | None = None) -> str:
        """Say it in a short line; elements by name, as references change from page to page."""
        what = str(element) if element else self.ref
        said = f'"{self.text[:80]}"'
        return {
            "goto": f"goto {self.text[:120]}",
            "click": f"click {what}",
            "type": f"type {said} into {what}" + (" and press Enter" if self.submit else ""),
            "select": f"select {said} in {what}",
            "scroll": f"scroll {self.text}",
            "ask": f"ask the person {said}",
            "done": f"done {said}",
        }.get(self.kind, self.kind)


class Next(BaseModel):
    """The answer when the goal is ``reached``; else an action, and perhaps a fact to keep."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reached: bool
    answer: str = Field(default="", max_length=4000)
    note: str = ""
    action: Do | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not (self.answer if self.reached else self.action):
            raise ValueError("it has no answer" if self.reached else "it has no action")
        return self

    @property
    def step(self) -> Do:
        """The action, or the answer as one."""
        if self.reached or self.action is None:
            return Do(kind="done", text=self.answer)
        return self.action


class Decision(BaseModel):
    """What the model says of the page, and what comes next.

    It says what it sees before it decides: a small model that is asked for an action at once clicks
    on, on the very page that answers the goal.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seen: str = ""
    next: Next


def schema_for(
    usable: Sequence[Element], *, more: Sequence[str] = (), asking: bool = True
) -> Schema:
    """Return the schema of a `Decision` where ``usable`` is shown and scrolling goes ``more``."""
    by_can = {can: [e for e in usable if e.can == can] for can in ("click", "type", "select")}
    ways: list[Schema] = []
    if by_can["click"]:
        ways.append(_way("click", ref=_one_of(by_can["click"])))
    if by_can["type"]:
        text: Schema = {"type": "string", "maxLength": MOST_SAID}
        submit: Schema = {"type": "boolean"}
        ways.append(_way("type", ref=_one_of(by_can["type"]), text=text, submit=submit))
    for element in by_can["select"]:
        options = list(dict.fromkeys(filter(None, element.options)))
        if options:
            ways.append(_way("select", ref=_one_of([element]), text={"enum": options}))
    if more:
        ways.append(_way("scroll", text={"enum": list(more)}))
    ways += [_way("read"), _way("back"), _way("wait")]
    ways.append(_way("goto", text={**NAMED, "maxLength": MOST_SAID}))
    if asking:
        ways.append(_way("ask", text={**NAMED, "maxLength": MOST_SAID}))
    seen: Schema = {"type": "string", "maxLength": MOST_SEEN}
    answer: Schema = {**NAMED, "maxLength": MOST_ANSWER}
    end = _object({"reached": {"const": True}, "answer": answer})
    going = {"reached": {"const": False}, "note": seen, "action": {"anyOf": ways}}
    return _object({"seen": seen, "next": {"anyOf": [end, _object(going, {"note"})]}})


def _one_of(elements: Sequence[Element]) -> Schema:
    return {"enum": [element.ref for element in elements]}


def _way(kind: Kind, **fields: Schema) -> Schema:
    return _object({"kind": {"const": kind}, **fields})


def _object(properties: Schema, optional: set[str] | None = None) -> Schema:
    required = [name for name in properties if name not in (optional or set())]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
