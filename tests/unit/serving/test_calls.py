"""Calls of another room: a deadline, our own errors, and `Unavailable` for everything else.

The handles are Serve's own, in its mode for tests: their replica is in this process.
"""

import asyncio
import inspect
import threading
from typing import Any, Protocol

import pytest
from ray import serve
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.handle import DeploymentHandle

from autobot.contracts.backup import Backup, FakeBackup
from autobot.contracts.embeddings import Embeddings, FakeEmbeddings
from autobot.contracts.keys import FakeKeys, Keys
from autobot.contracts.profiles import FakeProfiles, Profiles
from autobot.contracts.responses import FakeResponses, Responses
from autobot.errors import AutoBotError, ContextLengthExceeded, ModelNotFound, Unavailable
from autobot.serving.calls import Application, client, serves


def over_ray(error: Exception) -> Exception:
    """``error`` as it comes out of a call to another process."""
    return RayTaskError("call", "Traceback: line 1 of 100", error).as_instanceof_cause()


BEFELL = [
    ActorDiedError(),
    over_ray(TypeError("look() takes 5 arguments")),
    RuntimeError("Serve is shutting down"),
    ConnectionError(),
]


class Asked(Protocol):
    """A contract of one call; `raised` or `silent` are what befalls it."""

    async def look(self, *what: Any, **more: Any) -> str: ...


class Answers:
    def __init__(self) -> None:
        self.raised: Exception | None = None
        self.silent = False
        self.begun, self.left = asyncio.Event(), asyncio.Event()

    async def look(self, *what: Any, **more: Any) -> str:
        self.begun.set()
        if self.silent:
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if self.raised:
            raise self.raised
        return f"{what} {more}"


@serve.deployment
@serves(Asked)
class Other:
    """A room that serves the contract."""

    def __init__(self) -> None:
        self.asked = Answers()

    async def become(self, raised: Exception | None, silent: bool) -> None:
        self.asked.raised, self.asked.silent = raised, silent

    async def until_asked(self) -> None:
        await self.asked.begun.wait()

    async def until_left(self) -> None:
        await self.asked.left.wait()


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> DeploymentHandle[Any]:
    handle = serve.run(Other.bind(), name="other", _local_testing_mode=True)
    monkeypatch.setattr(serve, "get_app_handle", {"other": handle}.__getitem__)
    return handle


def asked(deadline_s: float = 0.3) -> Asked:
    return client(Asked, "other", "It does not answer ({}).", deadline_s)


async def test_a_call_brings_its_arguments_and_returns_what_was_answered(
    other: DeploymentHandle[Any],
) -> None:
    assert await asked(5.0).look(1, "two", three=3) == "(1, 'two') {'three': 3}"


async def test_a_room_that_is_silent_is_unavailable_after_the_deadline(
    other: DeploymentHandle[Any],
) -> None:
    await other.become.remote(None, True)
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match=r"no answer within 0.3 s") as told:
            await asked().look()
        await other.until_left.remote()
    assert told.value.retry_after


async def test_a_silent_control_store_holds_up_nobody_but_who_needs_it(
    other: DeploymentHandle[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room main it does not answer; this room has other callers to serve meanwhile."""
    back = threading.Event()

    def handle_of(name: str) -> DeploymentHandle[Any]:
        assert back.wait(20)
        return other

    monkeypatch.setattr(serve, "get_app_handle", handle_of)
    room = asked()
    calls = [asyncio.create_task(room.look()) for _ in range(3)]
    turns = 0
    while not all(call.done() for call in calls):
        await asyncio.sleep(0.01)
        turns += 1
    assert turns > 5
    for call in calls:
        with pytest.raises(Unavailable, match=r"no answer within 0.3 s"):
            await call
    back.set()
    async with asyncio.timeout(20):
        assert await room.look() == "() {}"


async def test_a_caller_who_goes_away_is_no_failure_and_ends_the_call_there(
    other: DeploymentHandle[Any],
) -> None:
    await other.become.remote(None, True)
    async with asyncio.timeout(20):
        calling = asyncio.create_task(asked(10.0).look())
        await other.until_asked.remote()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        await other.until_left.remote()


async def test_a_call_that_the_other_side_ended_is_unavailable_and_ends_nobody_here() -> None:
    class Ended:
        def __await__(self) -> Any:
            raise asyncio.CancelledError
            yield

        def cancel(self) -> None:
            raise RuntimeError("nothing to cancel")

    class Handle:
        def remote(self) -> Ended:
            return Ended()

    application = Application("other")
    application._make = Handle  # type: ignore[assignment,method-assign] # pyright: ignore
    with pytest.raises(Unavailable):
        await application.answer(lambda handle: handle.remote(), 5.0)


@pytest.mark.parametrize("error", BEFELL, ids=lambda error: type(error).__name__)
async def test_what_is_none_of_our_errors_is_unavailable_in_one_line(
    other: DeploymentHandle[Any], error: Exception
) -> None:
    await other.become.remote(error, False)
    with pytest.raises(Unavailable) as told:
        await asked(5.0).look()
    assert "Traceback" not in told.value.detail
    assert "\n" not in told.value.detail


@pytest.mark.parametrize(
    "error", [ModelNotFound("no such model"), ContextLengthExceeded("too long", 9, 8)]
)
async def test_the_other_rooms_own_error_is_passed_on_as_it_was(
    other: DeploymentHandle[Any], error: AutoBotError
) -> None:
    for raised in (error, over_ray(error)):
        await other.become.remote(raised, False)
        with pytest.raises(AutoBotError) as told:
            await asked(5.0).look()
        assert (type(told.value), told.value.args) == (type(error), error.args)


async def test_an_application_that_is_not_there_is_unavailable_too(
    other: DeploymentHandle[Any],
) -> None:
    with pytest.raises(Unavailable):
        await client(Asked, "nowhere", "It is not there ({}).").look()


def test_a_fake_has_every_call_of_its_contract() -> None:
    pairs = {
        Keys: FakeKeys,
        Profiles: FakeProfiles,
        Responses: FakeResponses,
        Backup: FakeBackup,
        Embeddings: FakeEmbeddings,
    }
    for contract, fake in pairs.items():
        calls = [name for name, one in vars(contract).items() if inspect.iscoroutinefunction(one)]
        assert calls
        for name in calls:
            wanted, got = (
                list(inspect.signature(getattr(c, name)).parameters) for c in (contract, fake)
            )
            assert wanted == got, (contract, name)
