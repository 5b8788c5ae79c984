"""Calls of another room: a deadline, our own errors, and `Unavailable` for everything else.

The handles are Serve's own, in its mode for tests: their replica is in this process.
"""

import asyncio
from typing import Any

import pytest
from ray import serve
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.handle import DeploymentHandle

from autobot.errors import AutoBotError, ContextLengthExceeded, ModelNotFound, Unavailable
from autobot.serving.calls import answer_of
from autobot.serving.room import RoomReplica
from deployments.llm import app as llm
from deployments.llm.embeddings import EmbeddingRequest
from deployments.main.cluster import ClusterView

ASKED = EmbeddingRequest("default", ["a text"], cut=True, caller="key1")


def over_ray(error: Exception) -> Exception:
    """``error`` as it comes out of a call to another process."""
    return RayTaskError("call", "Traceback: line 1 of 100", error).as_instanceof_cause()


BEFELL = [
    ActorDiedError(),
    over_ray(TypeError("embed_texts() takes 5 arguments")),
    RuntimeError("Serve is shutting down"),
    ConnectionError(),
]


@serve.deployment
class Other:
    """A room that is asked; `raised` or `silent` are what befalls a call."""

    def __init__(self) -> None:
        self.raised: Exception | None = None
        self.silent = False
        self.begun, self.left = asyncio.Event(), asyncio.Event()
        self.asked: list[tuple[Any, ...]] = []

    async def become(self, raised: Exception | None, silent: bool) -> None:
        self.raised, self.silent = raised, silent

    async def befall(self, *asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        self.begun.set()
        if self.silent:
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if self.raised:
            raise self.raised
        return {"model": "m", "vectors": [[1.0]], "tokens": 1, "engine": "e", "device": "CPU"}

    async def embed_texts(self, *asked: Any) -> dict[str, Any]:
        return await self.befall(*asked)

    async def responses(self, *asked: Any) -> dict[str, Any]:
        return await self.befall(*asked)

    async def key_records(self) -> dict[str, Any]:
        return await self.befall()

    async def until_asked(self) -> None:
        await self.begun.wait()

    async def until_left(self) -> None:
        await self.left.wait()

    async def all_asked(self) -> list[tuple[Any, ...]]:
        return self.asked


@pytest.fixture
def other() -> DeploymentHandle[Any]:
    return serve.run(Other.bind(), name="other", _local_testing_mode=True)


class Caller(RoomReplica):
    """Room llm, and room main, without the cluster they start in."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._npu = self._redis = handle
        self.view = ClusterView({}, 1.0)
        self.view._handles["redis"] = handle

    async def ask(self, what: str) -> Any:
        room: Any = llm.Llm.func_or_class
        if what == "npu":
            self._npu_handle = lambda: self._npu
            return await room._embed(self, ASKED)
        if what == "redis":
            return await self.ask_redis("Redis does not answer ({}).", "responses", "get")
        return await self.view._call("redis", "key_records", deadline_s=0.3)


CALLS = ["npu", "redis", "main"]


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.llm.app.EMBED_DEADLINE_S", 0.3, raising=False)
    monkeypatch.setattr("autobot.serving.room.STORE_DEADLINE_S", 0.3)


@pytest.mark.parametrize("what", CALLS)
async def test_a_room_that_is_silent_is_unavailable_after_the_deadline(
    other: DeploymentHandle[Any], what: str
) -> None:
    await other.become.remote(None, True)
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match=r"no answer within 0.3 s") as told:
            await Caller(other).ask(what)
        await other.until_left.remote()
    assert told.value.retry_after


async def test_a_caller_who_goes_away_is_no_failure_and_ends_the_call_there(
    other: DeploymentHandle[Any],
) -> None:
    await other.become.remote(None, True)
    async with asyncio.timeout(20):
        calling = asyncio.create_task(answer_of(lambda: other.key_records.remote(), 10.0))
        await other.until_asked.remote()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await other.until_left.remote()


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("error", BEFELL, ids=lambda error: type(error).__name__)
async def test_what_is_none_of_our_errors_is_unavailable_in_one_line(
    other: DeploymentHandle[Any], what: str, error: Exception
) -> None:
    await other.become.remote(error, False)
    with pytest.raises(Unavailable) as told:
        await Caller(other).ask(what)
    assert "Traceback" not in told.value.detail
    assert "\n" not in told.value.detail


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize(
    "error", [ModelNotFound("no such model"), ContextLengthExceeded("too long", 9, 8)]
)
async def test_the_other_rooms_own_error_is_passed_on_as_it_was(
    other: DeploymentHandle[Any], what: str, error: AutoBotError
) -> None:
    for raised in (error, over_ray(error)):
        await other.become.remote(raised, False)
        with pytest.raises(AutoBotError) as told:
            await Caller(other).ask(what)
        assert (type(told.value), told.value.args) == (type(error), error.args)


async def test_a_handle_that_cannot_be_had_is_unavailable_too() -> None:
    def ask() -> Any:
        raise RuntimeError("Application 'npu' does not exist.")

    with pytest.raises(Unavailable):
        await answer_of(ask, 1.0)


async def test_room_npu_is_told_whose_turn_it_is(other: DeploymentHandle[Any]) -> None:
    made = await Caller(other).ask("npu")
    assert made.vectors == [[1.0]]
    assert await other.all_asked.remote() == [("default", ["a text"], None, True, "key1")]
