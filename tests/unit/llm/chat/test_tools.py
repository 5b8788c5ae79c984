"""What of a model's words is a call, and what a caller is given of it."""

import json
from typing import Any

import jsonschema
import pytest

from autobot.errors import Invalid
from deployments.llm.chat.service import ChatService
from deployments.llm.chat.tools import Calls, Tool, Toolbox, could_be_call
from deployments.llm.engine import ChatMessage, ChatRequest, Delta, Finish
from deployments.llm.fake import FakeEngine, example

WEATHER = Tool(
    "get_weather",
    "The weather of a city.",
    {
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
ADD = Tool("add", "", {"properties": {"a": {"type": "number"}}, "required": ["a"]})
CALL = '{"name": "get_weather", "arguments": {"city": "Oslo"}}'
ASK = ChatRequest("fake", (ChatMessage("user", "weather?"),))


def box(**options: Any) -> Toolbox:
    return Toolbox([WEATHER, ADD], **options)


def found(text: str, toolbox: Toolbox | None = None) -> list[tuple[str, dict[str, Any]]]:
    return [(call.name, call.arguments) for call in (toolbox or box()).parse(text)]


@pytest.mark.parametrize(
    "text",
    [
        CALL,
        f"\n  {CALL}  \n",
        f"```json\n{CALL}\n```",
        f"```\n{CALL}\n```\nThis asks for the weather.",
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"[{CALL}]",
        '{"name": "get_weather", "parameters": {"city": "Oslo"}}',
        '{"name": "get_weather", "arguments": "{\\"city\\": \\"Oslo\\"}"}',
        f"{CALL}\n{CALL}",
    ],
)
def test_call_is_understood_however_it_is_wrapped(text: str) -> None:
    assert found(text) == [("get_weather", {"city": "Oslo"})]


@pytest.mark.parametrize(
    "text",
    [
        "The weather is fine.",
        f"Sure: {CALL}",
        CALL[:-1],
        '{"name": "get_weather", "arguments": {"city": 5}}',
        '{"name": "get_weather", "arguments": {}}',
        '{"name": "get_weather", "arguments": {"city": "Oslo", "unit": "C"}}',
        '{"name": "get_weather", "arguments": {"city": "Oslo", "days": NaN}}',
        '{"name": "get_weather", "arguments": {"city": "half a pair: \\ud83d"}}',
        '{"name": "launch", "arguments": {}}',
        '{"city": "Oslo"}',
        f'{CALL}\n{{"name": "add", "arguments": {{"a": "one"}}}}',
        "[" * 100_000,
        "```python\nprint(1)\n```",
        "",
    ],
)
def test_anything_else_is_plain_text_as_a_whole(text: str) -> None:
    assert found(text) == []


def test_several_calls_are_kept_in_order_unless_the_caller_wants_one() -> None:
    other = '{"name": "add", "arguments": {"a": 1}}'
    for text in (f"{CALL}\n{other}", f"[{CALL}, {other}]", f"```json\n{CALL},\n{other}\n```"):
        assert [name for name, _ in found(text)] == ["get_weather", "add"]
        assert [name for name, _ in found(text, box(parallel=False))] == ["get_weather"]


@pytest.mark.parametrize("text", ["", "`", "```js", "```json\n", "<tool", "{", '[{"na', CALL])
def test_beginning_that_may_become_a_call_is_held_back(text: str) -> None:
    assert could_be_call(text)


@pytest.mark.parametrize("text", ["T", "```python\n", "<b>", "1", '"', "- {"])
def test_beginning_that_cannot_is_not(text: str) -> None:
    assert not could_be_call(text)


@pytest.mark.parametrize("parallel", [None, True])
def test_answer_under_the_boxes_schema_is_always_a_call(parallel: bool | None) -> None:
    nested = Tool("tree", "", {"$defs": {"n": {"type": "integer"}}, "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]})  # fmt: skip # noqa: E501
    for toolbox in (box(forced=True, parallel=parallel), Toolbox([nested], parallel=parallel)):
        schema = dict(toolbox.schema())
        value = example(schema, schema)
        jsonschema.validate(value, schema)
        assert found(json.dumps(value), toolbox)


@pytest.mark.parametrize(
    "parameters",
    [
        {"type": 5},
        {"properties": {"a": {"$ref": "https://example.com/schema.json"}}},
        {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
        json.loads('{"properties": {"a": ' * 100 + "{}" + "}}" * 100),
        {"required": "city"},
        {"$schema": 5},
        {"properties": {"a": {"pattern": "("}}},
        {"properties": {"a": {"const": float("nan")}}},
        {"properties": {"a": {"const": "half a pair: \ud83d"}}},
    ],
)
def test_schema_that_is_none_or_points_elsewhere_is_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="broken"):
        Toolbox([Tool("broken", "", parameters)])


def test_same_name_twice_and_a_choice_that_is_not_there_are_refused() -> None:
    with pytest.raises(Invalid, match="same name"):
        Toolbox([WEATHER, WEATHER])
    with pytest.raises(Invalid, match="no tool 'launch'"):
        box().only("launch")


async def events(script: list[str], toolbox: Toolbox) -> tuple[list[Any], FakeEngine]:
    engine = FakeEngine(script=script, context=9999)
    service = ChatService([engine], lambda: "fake")
    return [event async for event in await service.chat(ASK, toolbox)], engine


async def test_plain_answer_streams_word_by_word() -> None:
    seen, _ = await events(["It is fine."], box())
    assert seen[:-1] == [Delta(word) for word in ("It ", "is ", "fine.")]
    assert isinstance(seen[-1], Finish)


async def test_call_comes_whole_and_none_of_it_as_text() -> None:
    seen, _ = await events([f"```json\n{CALL}\n```"], box())
    assert [type(event) for event in seen] == [Calls, Finish]
    assert seen[0].calls[0].arguments == {"city": "Oslo"}


async def test_call_begun_and_wrong_is_decoded_again_under_its_schema() -> None:
    seen, engine = await events(['{"name": "get_weather", "arguments": {"town": 1}}'], box())
    assert [type(event) for event in seen] == [Calls, Finish]
    assert engine.requests[0].schema is None
    assert engine.requests[1].schema == box().only("get_weather").schema()
    assert seen[0].calls[0].arguments == {"city": "x"}
    assert engine.limiter.running == 0


async def test_what_stays_wrong_is_passed_on_as_text() -> None:
    wrong = '{"name": "get_weather", "arguments": {"town": 1}}'
    seen, _ = await events([wrong, *["still wrong"] * 3], box())
    assert seen[0] == Delta(wrong)
    assert not any(isinstance(event, Calls) for event in seen)


async def test_json_that_is_no_call_is_passed_on_whole_without_a_second_attempt() -> None:
    seen, engine = await events(['{"city": "Oslo"}'], box())
    assert seen[0] == Delta('{"city": "Oslo"}')
    assert len(engine.requests) == 1


async def test_forced_call_is_decoded_under_the_schema_and_told_in_the_system_message() -> None:
    seen, engine = await events([], box(forced=True))
    assert isinstance(seen[0], Calls)
    told = engine.requests[0].messages[0]
    assert told.role == "system"
    assert '"get_weather"' in told.content
    assert engine.requests[0].messages[1:] == ASK.messages


@pytest.mark.timeout(30)
def test_tools_are_bounded_together() -> None:
    parameters = {"properties": {f"p{n}": {"pattern": f"a{n}"} for n in range(1000)}}
    with pytest.raises(Invalid, match="letters"):
        Toolbox([Tool(f"t{n}", "", parameters) for n in range(128)])
