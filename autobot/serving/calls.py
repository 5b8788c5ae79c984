"""Calls of another room through Ray: each has a deadline, and its failure is an error of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog
from ray.exceptions import RayTaskError

from autobot.errors import AutoBotError, Unavailable

log = structlog.get_logger()


class Call(Awaitable[Any], Protocol):
    """What a handle gives for ``.remote()``."""

    def cancel(self) -> None: ...


async def answer_of(ask: Callable[[], Call], deadline_s: float, told: str = "{}") -> Any:
    """Await the call that ``ask`` begins; what nobody waits for is cancelled there too.

    An error of ours that the other room raised is raised here as it was there. Whatever else befell
    the call (a lost VM, no replica, older code over there) is `Unavailable`, with the words of
    ``told``, whose ``{}`` is what befell it.
    """
    try:
        # `ask` in here: without its room even a handle cannot be had.
        return await _within(deadline_s, ask())
    except AutoBotError as error:
        # Ray's disguise of it has a traceback for its text, and not its ``args``.
        raise error.cause if isinstance(error, RayTaskError) else error from None
    except TimeoutError as error:
        raise Unavailable(told.format(f"no answer within {deadline_s:g} s")) from error
    except Exception as error:
        reason = _reason(error)
        log.warning("room.call_failed", told=told, reason=reason)
        raise Unavailable(told.format(reason)) from error


async def _within(deadline_s: float, call: Call) -> Any:
    """`asyncio.wait_for` for a call: a cancelled one raises an error of Serve's own, which would
    take the place of the deadline's, or of the caller's hang-up.
    """
    task = asyncio.ensure_future(call)
    try:
        if (await asyncio.wait({task}, timeout=deadline_s))[0]:
            return task.result()
        raise TimeoutError
    finally:
        if not task.done():
            call.cancel()
            task.cancel()
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


def _reason(error: Exception) -> str:
    """What befell a call, in a few words; a traceback is the other room's to log."""
    if isinstance(error, RayTaskError):
        return f"it failed there with {type(error.cause).__name__}"
    return type(error).__name__
