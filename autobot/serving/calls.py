"""Calls of another room through Ray: each has a deadline, and its failure is an error of ours.

A room's class serves contracts with `serves`; other rooms ask with what `client` returns. A
contract is a Protocol of `autobot.contracts` whose methods are coroutines. How one travels is known
here alone: method ``take`` of `Profiles` is ``profiles_take`` of the replica.
"""

import asyncio
import contextlib
import inspect
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol, TypeVar, cast

import structlog
from ray import serve
from ray.exceptions import RayTaskError
from ray.serve.handle import DeploymentHandle

from autobot.errors import AutoBotError, Unavailable

log = structlog.get_logger()


Contract = TypeVar("Contract")
Served = TypeVar("Served", bound=type)

DEADLINE_S = 5.0
"""Of a call that reads or writes a little."""


def serves(*contracts: type) -> Callable[[Served], Served]:
    """Let other rooms ask the class for ``contracts``; each is kept by the attribute of its name,
    which the constructor sets: `Profiles` by ``self.profiles``."""

    def decorate(served: Served) -> Served:
        for contract in contracts:
            for method in _methods(contract):
                setattr(served, _travelling(contract, method), _passed_on(contract, method))
        return served

    return decorate


class Call(Awaitable[Any], Protocol):
    """What a handle gives for ``.remote()``."""

    def cancel(self) -> None:
        """Ask the other room to end the call; nobody waits until it has."""
        ...


class Application:
    """Another room's application: its handle, and calls that end."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._making: asyncio.Future[DeploymentHandle[Any]] | None = None

    async def handle(self) -> DeploymentHandle[Any]:
        """The application's handle; whatever Ray raises when it cannot be had now.

        Has no deadline of its own. It is made once, in a thread: making one asks the control store,
        which with room main switched off does not answer, and blocks who asks until it does.
        """
        if self._making is None or (self._making.done() and self._making.exception()):
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
        return await asyncio.shield(self._making)

    def _make(self) -> DeploymentHandle[Any]:
        return serve.get_app_handle(self._name).options()  # which begins to watch its replicas

    async def answer(
        self, ask: Callable[[DeploymentHandle[Any]], Call], deadline_s: float, told: str = "{}"
    ) -> Any:
        """Await the call that ``ask`` begins; what nobody waits for is cancelled there too.

        An error of ours that the other room raised is raised here as it was there. Whatever else
        befell the call (a lost VM, no replica, older code over there) is `Unavailable`, with the
        words of ``told``, whose ``{}`` is what befell it.
        """
        ends = time.monotonic() + deadline_s
        try:
            handle = await asyncio.wait_for(self.handle(), deadline_s)
            return await _within(ends - time.monotonic(), ask(handle))
        except AutoBotError as error:
            # Ray's disguise of it has a traceback for its text, and not its ``args``.
            raise error.cause if isinstance(error, RayTaskError) else error from None
        except TimeoutError as error:
            raise Unavailable(told.format(f"no answer within {deadline_s:g} s")) from error
        except Exception as error:
            reason = _reason(error)
            log.warning("room.call_failed", told=told, reason=reason)
            raise Unavailable(told.format(reason)) from error


def client(
    contract: type[Contract], app: str, unavailable: str, deadline_s: float = DEADLINE_S
) -> Contract:
    """An object of ``contract`` each of whose calls is one of ``app``'s replica.

    Errors as `Application.answer`; ``unavailable`` is its ``told``.
    """
    application = Application(app)

    def call(method: str) -> Callable[..., Awaitable[Any]]:
        name = _travelling(contract, method)

        async def ask(self: Any, *arguments: Any, **named: Any) -> Any:
            return await application.answer(
                lambda handle: handle.options(method_name=name).remote(*arguments, **named),
                deadline_s,
                unavailable,
            )

        return ask

    methods = {method: call(method) for method in _methods(contract)}
    return cast(Contract, type(f"Remote{contract.__name__}", (), methods)())


def _methods(contract: type) -> Iterator[str]:
    return (name for name, one in vars(contract).items() if inspect.iscoroutinefunction(one))


def _travelling(contract: type, method: str) -> str:
    return f"{contract.__name__.lower()}_{method}"


def _passed_on(contract: type, method: str) -> Callable[..., Awaitable[Any]]:
    async def passed_on(self: Any, *arguments: Any, **named: Any) -> Any:
        keeper = getattr(self, contract.__name__.lower())
        return await getattr(keeper, method)(*arguments, **named)

    return passed_on


async def _within(deadline_s: float, call: Call) -> Any:
    """`asyncio.wait_for` for a call: a cancelled one raises an error of Serve's own, which would
    take the place of the deadline's, or of the caller's hang-up.
    """
    task = asyncio.ensure_future(call)
    try:
        if not (await asyncio.wait({task}, timeout=deadline_s))[0]:
            raise TimeoutError
        if task.cancelled():  # over there: who waits here goes on
            raise ConnectionAbortedError
        return task.result()
    finally:
        if not task.done():
            with contextlib.suppress(Exception):  # where routing has just failed it says so here
                call.cancel()
            task.cancel()
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


def _reason(error: Exception) -> str:
    """What befell a call, in a few words; a traceback is the other room's to log."""
    if isinstance(error, RayTaskError):
        return f"it failed there with {type(error.cause).__name__}"
    return type(error).__name__
