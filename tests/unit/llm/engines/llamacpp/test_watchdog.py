"""An engine that does nothing although it should is ended; a slow one is not."""

import asyncio
from collections.abc import Callable
from typing import Any

from deployments.llm.engines.llamacpp.watchdog import SLOW_S, Watchdog, patience

PERIOD_S = 0.01
PATIENCE_S = 0.2


class Process:
    """Says of itself what a test wants it to."""

    name = "model"

    def __init__(self, users: int = 1) -> None:
        self.users = users
        self.alive = True
        self.silent = asyncio.Event()
        self.tokens = 0
        self.moves = True
        self.busy = True

    async def slots(self) -> list[dict[str, Any]]:
        if self.silent.is_set():
            await asyncio.Event().wait()
        self.tokens += self.moves
        slot = {
            "is_processing": self.busy,
            "id_task": 1,
            "next_token": [{"n_decoded": self.tokens}],
        }
        return [slot, {"is_processing": False}]

    def kill(self) -> None:
        self.alive = False


def watch(process: Process) -> Watchdog:
    return Watchdog(process, process.slots, PATIENCE_S, period_s=PERIOD_S)


async def until(true: Callable[[], bool]) -> bool:
    for _ in range(int(5 / PERIOD_S)):
        if true():
            return True
        await asyncio.sleep(PERIOD_S)
    raise AssertionError("not within 5 s")


async def ended(process: Process) -> bool:
    return await until(lambda: not process.alive)


async def test_an_engine_that_does_not_answer_is_ended_with_the_reason() -> None:
    process = Process()
    process.silent.set()
    dog = watch(process)
    dog.wake()
    assert await ended(process)
    assert "no progress" in str(dog.reason)
    await dog.close()


async def test_an_engine_that_answers_and_decodes_nothing_is_ended() -> None:
    process = Process()
    process.moves = False
    dog = watch(process)
    dog.wake()
    assert await ended(process)
    await dog.close()


async def test_an_engine_that_goes_on_without_a_reader_is_ended_sooner() -> None:
    process = Process(users=0)
    dog = watch(process)
    dog.wake()
    assert await ended(process)
    assert "reader" in str(dog.reason)
    await dog.close()


async def test_an_engine_that_makes_progress_is_left_alone_for_however_long() -> None:
    process = Process()
    dog = watch(process)
    dog.wake()
    await asyncio.sleep(PATIENCE_S * 3)
    assert process.alive
    await dog.close()


async def test_it_stops_asking_when_the_engine_is_idle() -> None:
    process = Process(users=0)
    process.busy = False
    dog = watch(process)
    dog.wake()
    await until(lambda: not dog.still_s)
    asked = process.tokens
    await asyncio.sleep(PERIOD_S * 5)
    assert process.tokens == asked


async def test_health_asks_an_idle_engine_and_counts_from_its_first_silence() -> None:
    process = Process(users=0)
    dog = watch(process)
    assert await dog.look()
    process.silent.set()
    assert await dog.look(), "one slow answer is no fault yet"
    assert 0 < dog.still_s < SLOW_S
    assert await ended(process)
    await dog.close()


def test_patience_grows_with_the_model() -> None:
    assert 60 <= patience(1 << 30) < patience(5 << 30) < 300
