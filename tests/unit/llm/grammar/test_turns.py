"""Who waits while a stranger's schema is made into a grammar."""

import asyncio
import threading

import pytest

from autobot.errors import Busy
from deployments.llm.engine import ANY_OBJECT, Schema
from deployments.llm.engines.ollama import driver as driver_ollama
from deployments.llm.engines.ollama.client import body_of
from deployments.llm.grammar import bound
from deployments.llm.grammar.turns import Turns
from tests.contract.llm.conftest import until
from tests.unit.llm.engines.ollama.test_driver import Server, ask, run

pytestmark = pytest.mark.timeout(60)


class Making:
    """Makes nothing, until it is told to."""

    def __init__(self) -> None:
        self.go = threading.Semaphore(0)
        self.begun: list[str] = []
        self.at_once = self.most_at_once = 0

    def __call__(self, schema: Schema) -> str:
        self.begun.append(str(schema["title"]))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.go.acquire(timeout=30)
        self.at_once -= 1
        return str(schema["title"])


async def test_keys_take_turns_and_one_schema_is_made_at_a_time() -> None:
    turns, making = Turns(), Making()
    asked = [asyncio.create_task(turns.make(making, {"title": f"a{n}"}, "a")) for n in range(9)]
    await until(lambda: making.begun == ["a0"])
    asked.append(asyncio.create_task(turns.make(making, {"title": "b"}, "b")))
    await asyncio.sleep(0)
    for _ in asked:
        making.go.release()
    assert set(await asyncio.gather(*asked)) == {"b", *(f"a{n}" for n in range(9))}
    assert making.begun.index("b") <= 2
    assert making.most_at_once == 1


async def test_who_hangs_up_frees_no_turn_before_the_work_has_ended() -> None:
    turns, making = Turns(), Making()
    for n in range(5):
        task = asyncio.create_task(turns.make(making, {"title": f"a{n}"}, "a"))
        await until(lambda: making.begun == ["a0"])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    other = asyncio.create_task(turns.make(making, {"title": "b"}, "b"))
    await asyncio.sleep(0.1)
    assert making.begun == ["a0"]
    making.go.release()
    making.go.release()
    assert await other == "b"
    assert making.most_at_once == 1


async def test_one_key_does_not_fill_the_line() -> None:
    turns, making = Turns(), Making()
    asked = [asyncio.create_task(turns.make(making, {"title": "a"}, "a")) for _ in range(30)]
    await until(lambda: any(task.done() for task in asked))
    refused = [task for task in asked if task.done()]
    assert all(isinstance(task.exception(), Busy) for task in refused)
    other = asyncio.create_task(turns.make(making, {"title": "b"}, "b"))
    for _ in range(31):
        making.go.release()
    assert await other == "b"
    await asyncio.gather(*asked, return_exceptions=True)


async def test_a_schema_for_another_engine_is_not_read_on_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[threading.Thread] = []

    def noted(schema: Schema) -> Schema:
        threads.append(threading.current_thread())
        return bound.relaxed(schema)

    monkeypatch.setattr(driver_ollama, "relaxed", noted)
    await run(Server().engine(), ask(schema=ANY_OBJECT))
    assert threads
    assert threading.main_thread() not in threads


def test_an_object_of_any_kind_is_ollamas_json() -> None:
    assert body_of(ask(schema=ANY_OBJECT), 100, {})["format"] == "json"
    assert body_of(ask(schema=ANY_OBJECT), 100, ANY_OBJECT)["format"] == {"type": "object"}
