"""The registry: every room's tools, those of a room that is away too."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from autobot.contracts.tools import FakeTools, JsonObject, ToolCall, ToolInfo
from autobot.errors import NotFound, Unavailable
from autobot.keys import KeyRecord, NewKey, make_key
from autobot.tools.registry import Registry


def info(name: str, *scopes: str) -> ToolInfo:
    anything = {"type": "object"}
    return ToolInfo(name, name, "", anything, anything, scopes, True, "retry", 60.0)


def key(*scopes: str) -> KeyRecord:
    return make_key(NewKey(name="one", scopes=scopes))[1]


class Away(FakeTools):
    """A room that is there, and then is not."""

    away = False
    silent = False
    described = 0

    async def describe(self) -> Sequence[ToolInfo]:
        self.described += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.away:
            raise Unavailable("The VM does not answer.")
        return await super().describe()

    async def run(self, call: ToolCall) -> JsonObject:
        if self.away:
            raise Unavailable("The VM does not answer.")
        return await super().run(call)


async def test_a_key_sees_the_tools_of_its_scopes_and_no_others() -> None:
    rooms = {"npu": FakeTools(info("npu.ocr", "npu")), "llm": FakeTools(info("llm.chat", "llm"))}
    registry = Registry(rooms)
    assert [one.name for one in await registry.tools()] == ["llm.chat", "npu.ocr"]
    assert [one.name for one in await registry.allowed(key("npu"))] == ["npu.ocr"]
    with pytest.raises(NotFound):
        await registry.run(ToolCall("llm.chat", {}, key("npu"), 5))
    assert not rooms["llm"].calls
    assert len(await registry.allowed(key("admin"))) == 2


async def test_a_call_goes_to_the_room_that_has_the_tool() -> None:
    rooms = {"npu": FakeTools(info("npu.ocr", "npu")), "llm": FakeTools(info("llm.chat", "llm"))}
    call = ToolCall("llm.chat", {"prompt": "hello"}, key("llm"), 5)
    assert await Registry(rooms).run(call) == {"prompt": "hello"}
    assert rooms["llm"].calls == [call]


async def test_tools_of_a_room_that_went_away_are_listed_and_a_call_says_so() -> None:
    room = Away(info("npu.ocr", "npu"))
    registry = Registry({"npu": room}, fresh_s=0)
    await registry.tools()
    room.away = True
    assert [one.name for one in await registry.tools()] == ["npu.ocr"]
    with pytest.raises(Unavailable):
        await registry.run(ToolCall("npu.ocr", {}, key("npu"), 5))


async def test_a_silent_room_holds_up_the_list_for_a_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autobot.tools.registry.DESCRIBED_WITHIN_S", 0.05)
    room = Away(info("npu.ocr", "npu"))
    room.silent = True
    registry = Registry({"npu": room, "llm": FakeTools(info("llm.chat", "llm"))})
    async with asyncio.timeout(20):
        assert [one.name for one in await registry.tools()] == ["llm.chat"]


async def test_many_callers_at_once_ask_the_rooms_once() -> None:
    room = Away(info("npu.ocr", "npu"))
    registry = Registry({"npu": room})
    await asyncio.gather(*(registry.allowed(key("npu")) for _ in range(50)))
    assert room.described == 1


async def test_an_updated_room_shows_its_new_tools() -> None:
    room = FakeTools(info("npu.ocr", "npu"))
    registry = Registry({"npu": room}, fresh_s=0)
    await registry.tools()
    room._info = replace(room._info, name="npu.read")  # pyright: ignore
    assert [one.name for one in await registry.tools()] == ["npu.read"]
