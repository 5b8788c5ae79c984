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
    hangs = False
    described = 0

    def __init__(self, info: ToolInfo) -> None:
        super().__init__(info)
        self.begun, self.left = asyncio.Event(), asyncio.Event()

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
        if self.hangs:
            self.begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
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


async def test_tools_of_a_room_that_went_away_are_listed_and_a_call_says_so_at_once() -> None:
    room, reasons = Away(info("npu.ocr", "npu")), dict[str, str]()
    registry = Registry({"npu": room}, away=reasons.get)
    await registry.tools()
    room.away, reasons["npu"] = True, "VM npu does not answer."
    await registry.refresh()
    assert [one.name for one in await registry.tools()] == ["npu.ocr"]
    with pytest.raises(Unavailable, match="VM npu"):
        await registry.run(ToolCall("npu.ocr", {}, key("npu"), 5))
    assert not room.calls


async def test_a_call_of_a_room_that_goes_away_meanwhile_ends_before_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Serve waits for the room's return, and would wait for as long as the call may take."""
    monkeypatch.setattr("autobot.tools.registry.LOOK_EVERY_S", 0.01)
    monkeypatch.setattr("autobot.tools.registry.ANSWERED_WITHIN_S", 0.1)
    room, reasons = Away(info("npu.ocr", "npu")), dict[str, str]()
    room.hangs = True
    registry = Registry({"npu": room}, away=reasons.get)
    async with asyncio.timeout(20):
        calling = asyncio.create_task(registry.run(ToolCall("npu.ocr", {}, key("npu"), 600)))
        await room.begun.wait()
        reasons["npu"] = "VM npu does not answer."
        with pytest.raises(Unavailable, match="VM npu"):
            await calling
        await room.left.wait()


async def test_a_call_that_is_given_up_is_ended_in_the_room() -> None:
    room = Away(info("npu.ocr", "npu"))
    room.hangs = True
    async with asyncio.timeout(20):
        registry = Registry({"npu": room})
        calling = asyncio.create_task(registry.run(ToolCall("npu.ocr", {}, key("npu"), 600)))
        await room.begun.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await room.left.wait()


async def test_a_silent_room_holds_up_the_first_list_for_a_bounded_time_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("autobot.tools.registry.DESCRIBED_WITHIN_S", 0.05)
    room = Away(info("npu.ocr", "npu"))
    room.silent = True
    registry = Registry({"npu": room, "llm": FakeTools(info("llm.chat", "llm"))}, fresh_s=0)
    async with asyncio.timeout(20):
        assert [one.name for one in await registry.tools()] == ["llm.chat"]
    monkeypatch.setattr("autobot.tools.registry.DESCRIBED_WITHIN_S", 1000)
    async with asyncio.timeout(20):
        assert [one.name for one in await registry.tools()] == ["llm.chat"]


async def test_many_callers_at_once_ask_the_rooms_once() -> None:
    room = Away(info("npu.ocr", "npu"))
    registry = Registry({"npu": room})
    await asyncio.gather(*(registry.allowed(key("npu")) for _ in range(50)))
    assert room.described == 1


async def test_an_updated_room_shows_its_new_tools() -> None:
    room = FakeTools(info("npu.ocr", "npu"))
    registry = Registry({"npu": room})
    await registry.tools()
    room._info = replace(room._info, name="npu.read")  # pyright: ignore
    await registry.refresh()
    assert [one.name for one in await registry.tools()] == ["npu.read"]


async def test_a_room_cannot_name_a_tool_as_another_rooms() -> None:
    rooms = {"greeter": FakeTools(info("npu.ocr", "npu")), "npu": FakeTools(info("npu.ocr", "npu"))}
    call = ToolCall("npu.ocr", {}, key("npu"), 5)
    await Registry(rooms).run(call)
    assert rooms["npu"].calls == [call]
    assert not rooms["greeter"].calls


async def test_a_room_has_the_further_names_of_its_manifest_and_a_name_may_have_no_dot() -> None:
    class Several(FakeTools):
        async def describe(self) -> Sequence[ToolInfo]:
            names = ("http.get", "python", "pythonic.x", "browser.pdf", "npu.ocr", "http")
            return [info(name, "browser") for name in names]

    registry = Registry(
        {"web": Several(info("x"))}, own_names={"web": ("browser", "http", "python")}.__getitem__
    )
    listed = [one.name for one in await registry.tools()]
    assert listed == ["browser.pdf", "http", "http.get", "python"]
