"""A room's tools: typed, by scope, in time."""

import asyncio
import traceback
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel

from autobot.contracts.tools import FakeTools, ToolCall
from autobot.errors import AutoBotError, Busy, Forbidden, Invalid, NotFound, Timeout, TooLarge
from autobot.keys import KeyRecord, NewKey, make_key
from autobot.tools.tool import Arguments, File, Tool, ToolSet


class Number(Arguments):
    number: int


class Twice(BaseModel):
    twice: int


async def double(given: Number, call: ToolCall) -> Twice:
    return Twice(twice=2 * given.number)


def doubling(**changes: Any) -> Tool[Any, Any]:
    words: dict[str, Any] = {
        "name": "npu.double",
        "title": "Double",
        "description": "Double a number.",
        "arguments": Number,
        "result": Twice,
        "run": double,
        "scopes": ("npu",),
    }
    return Tool(**(words | changes))


def key(*scopes: str) -> KeyRecord:
    return make_key(NewKey(name="one", scopes=scopes))[1]


def call(arguments: dict[str, Any], *scopes: str, within_s: float = 5.0) -> ToolCall:
    return ToolCall("npu.double", arguments, key(*(scopes or ("npu",))), within_s)


async def test_a_tool_gives_what_its_own_schemas_say() -> None:
    tools = ToolSet([doubling()])
    (info,) = await tools.describe()
    arguments = {"number": 21}
    jsonschema.validate(arguments, dict(info.arguments))
    result = await tools.run(call(arguments))
    jsonschema.validate(result, dict(info.result))
    assert result == {"twice": 42}


@pytest.mark.parametrize(
    ("arguments", "where"),
    [({}, "number"), ({"number": "many"}, "number"), ({"number": 1, "more": 2}, "more")],
)
async def test_a_wrong_argument_is_named_and_the_tool_does_not_run(
    arguments: dict[str, Any], where: str
) -> None:
    ran: list[Number] = []

    async def count(given: Number, call: ToolCall) -> Twice:
        ran.append(given)
        return Twice(twice=0)

    with pytest.raises(Invalid, match=where) as error:
        await ToolSet([doubling(run=count)]).run(call(arguments))
    assert error.value.param == where
    assert not ran


async def test_a_tool_needs_all_its_scopes() -> None:
    tools = ToolSet([doubling(scopes=("browser", "browser:evaluate"))])
    with pytest.raises(Forbidden, match="browser:evaluate"):
        await tools.run(call({"number": 1}, "browser"))
    assert await tools.run(call({"number": 1}, "browser", "browser:evaluate"))


async def test_a_name_that_is_no_tool_is_not_found() -> None:
    with pytest.raises(NotFound):
        await ToolSet([]).run(call({"number": 1}))


@pytest.mark.parametrize("longest_s", [0.05, 60.0])
async def test_what_is_out_of_time_is_ended_by_the_callers_or_the_tools_own_bound(
    longest_s: float,
) -> None:
    ended = asyncio.Event()

    async def hang(given: Number, call: ToolCall) -> Twice:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    tools = ToolSet([doubling(run=hang, longest_s=longest_s)])
    async with asyncio.timeout(20):
        with pytest.raises(Timeout, match=r"0\.05 s"):
            await tools.run(call({"number": 1}, within_s=0.1 if longest_s < 1 else 0.05))
    assert ended.is_set()


async def test_a_time_out_of_the_tools_own_is_not_told_as_the_callers() -> None:
    async def slow(given: Number, call: ToolCall) -> Twice:
        raise TimeoutError("the device did not answer")

    with pytest.raises(TimeoutError, match="the device"):
        await ToolSet([doubling(run=slow)]).run(call({"number": 1}))


def test_a_file_that_is_too_large_for_a_result_is_refused() -> None:
    with pytest.raises(TooLarge, match="at most"):
        File.of("application/pdf", bytes((8 << 20) + 1))


def test_bytes_of_a_file_are_base64_in_json() -> None:
    file = File.of("image/png", b"\xff\xfe\xfd")
    assert file.model_dump(mode="json") == {"media_type": "image/png", "content": "//79"}


async def test_the_fake_keeps_the_contract_of_the_real_one() -> None:
    (info,) = await ToolSet([doubling()]).describe()
    for tools in (ToolSet([doubling()]), FakeTools(info)):
        assert [found.name for found in await tools.describe()] == ["npu.double"]
        assert await tools.run(call({"number": 1}))
        with pytest.raises(Forbidden):
            await tools.run(call({"number": 1}, "read"))
        with pytest.raises(NotFound):
            await tools.run(ToolCall("npu.halve", {}, key("npu"), 1))


class Strange(Exception):
    """Its words are in no argument."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def __str__(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Invalid("no hunter2 there").of("url"), Invalid),
        (Busy("hunter2"), Busy),
        (TimeoutError("hunter2 took long"), TimeoutError),
        (Strange("it was hunter2"), AutoBotError),
        (ExceptionGroup("hunter2", [ValueError("hunter2")]), AutoBotError),
    ],
)
async def test_an_error_says_no_secret_of_its_call_for_serve_logs_it(
    error: Exception, kind: type[Exception]
) -> None:
    async def fail(given: Number, call: ToolCall) -> Twice:
        try:
            raise ValueError("aHVudGVyMg== is hunter2")
        except ValueError as cause:
            raise error from cause

    asked = replace(call({"number": 1}), secrets=("hunter2",))
    with pytest.raises(Exception, match=r"\*\*\*") as raised:
        await ToolSet([doubling(run=fail)]).run(asked)
    assert type(raised.value) is kind
    assert getattr(raised.value, "param", None) == getattr(error, "param", None)
    logged = "".join(traceback.format_exception(raised.value))
    code = [line for line in logged.splitlines() if line.startswith("    ")]
    assert "hunter2" not in "\n".join(line for line in logged.splitlines() if line not in code)
    assert "aHVud" not in logged
    assert "hunter2" not in repr(asked)
