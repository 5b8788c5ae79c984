"""Tool calls: how a model is told of its tools, and what of its words is a call.

The same for every engine and model, because many small models have no template for tools or do not
keep to it. A call is a JSON object ``{"name": ..., "arguments": {...}}``, alone or in a list, bare,
fenced or tagged. It counts only when the tool exists and its arguments are valid against the tool's
schema; anything else is plain text. See docs/decisions/tool-calls.md.
"""

import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autobot.errors import Invalid
from autobot.schemas.json_schema import Budget, checked, moved
from deployments.llm.engine import ChatMessage, Schema

MOST_CALLS = 8
ANSWER = "the answer itself"  # no tool can have a name with spaces
OPENING = re.compile(r"\s*(?:(?:```(?:json|tool_call)?|<tool_call>)\s*)?[\[{]")
OPENERS = ("```json", "```tool_call", "<tool_call>")
MARKS = re.compile(r"(?:\s|```(?:json|tool_call)?|</?tool_call>|,)*")
NAMED = re.compile(r'\s*"name"\s*:\s*"([\w.-]+)"')

PROMPT = """# Tools

You can call these functions:
<tools>
{tools}
</tools>

To call a function, answer with nothing but one JSON object:
{{"name": "<function name>", "arguments": {{<its arguments>}}}}
{rule}"""
WHEN_NEEDED = (
    "When a function helps, call it instead of talking about it; else answer in plain words."
)
NOW = "Call {what} now."


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the client offers; `parameters` is the JSON schema of its arguments, an object."""

    name: str
    description: str
    parameters: Schema


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: dict[str, Any]

    @property
    def arguments_json(self) -> str:
        """The arguments as a text of JSON, as OpenAI's messages have them; not only ASCII."""
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Calls:
    """The event of an answer that is calls: all of them, whole and valid."""

    calls: tuple[ToolCall, ...]


class Toolbox:
    """The tools of one request. `forced` means it must call; `parallel` None leaves that to us."""

    def __init__(
        self, tools: Sequence[Tool], forced: bool = False, parallel: bool | None = None
    ) -> None:
        """Raises `Invalid` for a name used twice or a schema that is none."""
        self.tools = {tool.name: replace(tool, parameters=_object(tool)) for tool in tools}
        if len(self.tools) < len(tools):
            raise Invalid("tools: two tools have the same name.")
        self.forced = forced
        self.parallel = parallel
        budget = Budget()
        self._schemas = {
            name: checked(tool.parameters, f"tools: {name}", budget)
            for name, tool in self.tools.items()
        }

    def only(self, name: str) -> "Toolbox":
        """These tools reduced to one, which must be called."""
        if name not in self.tools:
            raise Invalid(f"tool_choice: there is no tool '{name}'.")
        return Toolbox([self.tools[name]], forced=True, parallel=self.parallel)

    def instruct(self, messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
        """Tell the model of its tools in the system message, which small models heed best."""
        shown = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.parameters,
                },
            }
            for tool in self.tools.values()
        ]
        what = f"'{next(iter(self.tools))}'" if len(self.tools) == 1 else "one of them"
        text = PROMPT.format(
            tools="\n".join(json.dumps(one, ensure_ascii=False) for one in shown),
            rule=NOW.format(what=what) if self.forced else WHEN_NEEDED,
        )
        first, rest = messages[:1], messages[1:]
        if first and first[0].role == "system":
            return (replace(first[0], content=f"{first[0].content}\n\n{text}"), *rest)
        return (ChatMessage("system", text), *messages)

    def schema(self, answer: Schema | None = None) -> Schema:
        """The schema of an answer that is a call, or a list of calls when parallel ones are asked
        for; or else is valid against `answer`. Decoding under it leaves no way to write anything
        that is neither."""
        calls: list[Schema] = [
            {
                "type": "object",
                "properties": {
                    "name": {"const": name},
                    "arguments": {"$ref": f"#/$defs/{name}"},
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for name in self.tools
        ]
        if self.parallel:
            items = {"anyOf": calls}
            calls = [{"type": "array", "items": items, "minItems": 1, "maxItems": MOST_CALLS}]
        places = {
            name: moved(tool.parameters, f"#/$defs/{name}") for name, tool in self.tools.items()
        }
        if answer is not None:
            calls.append({"$ref": f"#/$defs/{ANSWER}"})
            places[ANSWER] = moved(answer, f"#/$defs/{ANSWER}")
        return {"anyOf": calls, "$defs": places}

    def parse(self, text: str) -> tuple[ToolCall, ...]:
        """The calls `text` consists of; none when any of it that should be one is not valid.

        Words after the last call are dropped: they were said before its result was known.
        """
        calls: dict[str, ToolCall] = {}
        for value in _values(text):
            call = self._call(value)
            if call is None:
                return ()
            # A small model may say the very same call over and over: once is what it means.
            calls.setdefault(f"{call.name} {call.arguments_json}", call)
        whole = tuple(calls.values())
        return whole[:1] if self.parallel is False else whole

    def fault(self, text: str) -> str:
        """What is wrong with an answer that has to be calls and nothing else."""
        if self.parse(text):
            return ""
        for value in _values(text):
            name = value.get("name") if isinstance(value, dict) else None
            if name not in self._schemas:
                return f"it has to call one of {', '.join(self.tools)}"
            fault = self._schemas[name].fault(_arguments(value))
            if fault:
                return f"the arguments of {name}: {fault}"
        return 'it is not a call: {"name": ..., "arguments": {...}}'

    def attempted(self, text: str) -> str | None:
        """The tool whose call `text` begins to be, whatever became of it."""
        opening = OPENING.match(text)
        named = opening and NAMED.match(text, text.find("{", opening.end() - 1) + 1)
        return named[1] if named and named[1] in self.tools else None

    def _call(self, value: Any) -> ToolCall | None:
        if not isinstance(value, dict):
            return None
        name = value.get("name")
        arguments = _arguments(value)
        if name not in self._schemas or not isinstance(arguments, dict):
            return None
        try:
            if not self._schemas[name].is_valid(arguments):
                return None
            json.dumps(arguments, ensure_ascii=False).encode()  # half a surrogate pair cannot be
        except (RecursionError, ValueError):
            return None
        return ToolCall(f"call_{secrets.token_hex(12)}", name, arguments)


def _arguments(value: dict[str, Any]) -> Any:
    arguments = value.get("arguments", value.get("parameters", {}))
    # A text of JSON, as in OpenAI's own messages, which models have read.
    return _json(arguments) if isinstance(arguments, str) else arguments


def could_be_call(text: str) -> bool:
    """Whether an answer that begins with `text` may still turn out to be a call."""
    beginning = text.strip()
    return bool(OPENING.match(text)) or any(mark.startswith(beginning) for mark in OPENERS)


def said_calls(calls: Sequence[tuple[str, Any]]) -> str:
    """Earlier calls (name and arguments) in the words `PROMPT` asks for."""
    objects = ({"name": name, "arguments": arguments} for name, arguments in calls)
    text = "\n".join(json.dumps(one, ensure_ascii=False) for one in objects)
    return text.encode(errors="replace").decode()  # half a surrogate pair is in no model's alphabet


def said_result(content: str) -> str:
    """A tool's result in the form instruction-tuned models were trained on (Hermes, Qwen)."""
    return f"<tool_response>\n{content}\n</tool_response>"


def _object(tool: Tool) -> Schema:
    return {"type": "object", **tool.parameters}


def _values(text: str) -> Iterator[Any]:
    """The JSON values at the beginning of `text`, lists opened; `None` for one that breaks off."""
    decoder = json.JSONDecoder(parse_constant=_refuse_constant)
    position = _past_marks(text, 0)
    while position < len(text) and text[position] in "[{":
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            yield None
            return
        yield from value if isinstance(value, list) else [value]
        position = _past_marks(text, position)


def _past_marks(text: str, position: int) -> int:
    marks = MARKS.match(text, position)
    return marks.end() if marks else position


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
