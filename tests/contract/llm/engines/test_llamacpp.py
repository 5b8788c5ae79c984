"""What only the embedded engine does: it loads, evicts, dies and comes back."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from autobot.contracts.embeddings import FakeEmbeddings
from autobot.contracts.responses import FakeResponses
from autobot.errors import AutoBotError, Unavailable
from autobot.settings import Settings
from deployments.llm.engine import ChatMessage, ChatRequest, Delta, Finish
from deployments.llm.engines.llamacpp.driver import LlamaCppEngine
from deployments.llm.models.registry import ModelFile
from deployments.llm.room import ChatRoom
from tests.contract.llm.conftest import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

Slot = dict[str, int]
STORY = "Tell me a long story about the sea, with every detail you can think of."


class Engine(LlamaCppEngine):
    """Knows one file by three names, so that loading several models costs little."""

    def __init__(self, path: Path, log: Path) -> None:
        self.names = ["first", "second", "third"]
        super().__init__(
            lambda: [ModelFile(name, path, 8192) for name in self.names],
            log,
            pinned=lambda: "first",
            slots=2,
            waiting=2,
            context=4096,
        )

    def held(self) -> list[str]:
        return [name for name in self.names if self.loaded(name)]

    async def slots(self, name: str = "first") -> list[Slot]:
        """The native engine's own account of its slots; none while it is not loaded."""
        process = self.loaded(name)
        return await process.client.json("GET", "/slots") if process else []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(
    small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Engine, None]:
    made = Engine(small_model, tmp_path_factory.mktemp("engine") / "llama.cpp.log")
    yield made
    await made.close()


def ask(text: str = STORY, model: str = "first", max_tokens: int | None = None) -> ChatRequest:
    return ChatRequest(model, (ChatMessage("user", text),), max_tokens=max_tokens)


async def finish(engine: Engine, request: ChatRequest) -> Finish:
    last = [event async for event in await engine.chat(request)][-1]
    assert isinstance(last, Finish)
    return last


async def test_two_chats_are_answered_at_the_same_time(engine: Engine) -> None:
    order: list[str] = []

    async def chat(label: str) -> None:
        async for event in await engine.chat(ask(max_tokens=30)):
            if isinstance(event, Delta):
                order.append(label)

    await asyncio.gather(chat("a"), chat("b"))
    turns = sum(1 for before, after in pairwise(order) if before != after)
    assert turns > 10, f"one waited for the other: {''.join(order)}"


async def test_hang_up_in_the_middle_of_a_long_prompt_stops_the_native_engine(
    engine: Engine,
) -> None:
    task = asyncio.create_task(finish(engine, ask("The sea is wide. " * 780, max_tokens=1)))
    await _until_slots(engine, lambda slots: any(map(_progress, slots)))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert engine.limiter.running == 0
    read = await _until_slots(engine, _idle)
    assert 0 < read < 2000, "it stopped long before it had read the whole prompt of 3,900 tokens"


async def test_hundred_hang_ups_leave_no_slot_busy_and_no_connection_open(engine: Engine) -> None:
    for _ in range(100):
        chat = await engine.chat(ask())
        await chat.aclose()
    await _until_slots(engine, _idle)
    assert (engine.limiter.running, engine.limiter.queued) == (0, 0)
    open_sockets = [c for c in psutil.Process().net_connections("unix") if "llama.sock" in c.raddr]
    assert open_sockets == []
    assert (await finish(engine, ask(max_tokens=2))).completion_tokens == 2


async def test_models_load_on_demand_and_the_idle_one_leaves_but_never_the_default(
    engine: Engine,
) -> None:
    await finish(engine, ask(max_tokens=1))
    await finish(engine, ask(model="second", max_tokens=1))
    assert engine.held() == ["first", "second"]
    await finish(engine, ask(model="third", max_tokens=1))
    assert engine.held() == ["first", "third"]


async def test_killed_engine_tells_its_caller_and_is_back_for_the_next_one(
    engine: Engine,
) -> None:
    chat = await engine.chat(ask())
    process = engine.loaded("first")
    assert process
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(Unavailable):
        async for _ in chat:
            pass
    assert (await finish(engine, ask(max_tokens=2))).completion_tokens == 2


async def test_file_that_is_no_model_is_refused_with_the_reason(
    engine: Engine, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(1000))
    bad = Engine(broken, tmp_path / "log")
    with pytest.raises(AutoBotError, match=r"broken\.gguf"):
        await finish(bad, ask())
    assert bad.held() == []


async def test_truncated_model_is_refused_with_the_engines_own_words(
    small_model: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.gguf"
    with small_model.open("rb") as whole:
        cut.write_bytes(whole.read(4 << 20))
    bad = Engine(cut, tmp_path / "log")
    with pytest.raises(Unavailable, match=r"could not load 'first': .*load"):
        await finish(bad, ask())


async def test_engine_process_ends_with_its_parent_however_that_ends(
    small_model: Path, tmp_path: Path
) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from deployments.llm.engines.llamacpp.driver import LlamaCppEngine\n"
        "from deployments.llm.models.registry import ModelFile\n"
        f"files = [ModelFile('m', Path({str(small_model)!r}), 512)]\n"
        f"engine = LlamaCppEngine(lambda: files, Path({str(tmp_path / 'log')!r}), context=512)\n"
        "print(engine.preload('m').pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    parent = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], capture_output=True, text=True
    )
    assert parent.returncode == -signal.SIGKILL, parent.stderr
    await until(lambda: not _runs(int(parent.stdout)))


async def test_room_reports_its_engine_and_brings_a_killed_one_back_by_itself(
    small_model: Path, tmp_path: Path
) -> None:
    settings = Settings.model_validate(
        {
            "home": tmp_path,
            "cache": small_model.parents[2],
            "default_chat_model": "smollm2-135m-instruct",
            "ollama_url": "http://127.0.0.1:9",
        }
    )
    room = ChatRoom(settings, FakeEmbeddings(), FakeResponses(()))
    room.warm()
    try:
        facts = await room.facts()
        assert facts["device"] == "CPU"
        assert facts["default"] == "smollm2-135m-instruct"
        assert facts["default"] in facts["models"]
        os.kill(facts["engine_pid"], signal.SIGKILL)
        await until(lambda: room.llamacpp.loaded("smollm2-135m-instruct") is None)
        with pytest.raises(Unavailable, match="is loading"):
            await room.facts()
        await until(lambda: room.llamacpp.loaded("smollm2-135m-instruct") is not None, 60)
        assert (await room.facts())["engine_pid"] != facts["engine_pid"]
    finally:
        await room.close()


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _idle(slots: Sequence[Slot]) -> bool:
    return not any(slot["is_processing"] for slot in slots)


def _progress(slot: Slot) -> int:
    """Tokens of its prompt that the slot has read so far."""
    return slot.get("n_prompt_tokens_processed", 0) if slot["is_processing"] else 0


async def _until_slots(engine: Engine, true: Callable[[Sequence[Slot]], bool]) -> int:
    """Return the most tokens of a prompt any slot had read while we waited."""
    read, slots = 0, list[Slot]()
    for _ in range(3000):
        slots = await engine.slots()
        read = max([read, *map(_progress, slots)])
        if slots and true(slots):
            return read
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within 30 s: {slots}")
