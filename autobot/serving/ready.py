"""Waiting until what was deployed serves, with the reason why it does not yet."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import httpx

from autobot.client import Client
from autobot.errors import AutoBotError, SetupError
from autobot.serving.deploy import ServeApi, unready
from autobot.settings import Settings

READY_DEADLINE_S = 240.0
STALLED = ("DEPLOY_FAILED", "UNHEALTHY")

Say = Callable[[str], None]
"""Shows one line of progress; called often with the same step while it lasts."""


async def wait_until_running(settings: Settings, names: Sequence[str], say: Say) -> None:
    """Wait until Serve calls each application of ``names`` RUNNING, asking four times a second.

    Raises SetupError at once for one that failed or is unhealthy, and after `READY_DEADLINE_S` with
    what is still awaited.
    """
    async with ServeApi(settings) as api:
        waiting: dict[str, str] = {}

        async def running() -> bool:
            nonlocal waiting
            waiting = unready(await api.applications(), names)
            broken = {n: why for n, why in waiting.items() if why.startswith(STALLED)}
            if broken:
                raise SetupError(_lines(broken), "See `autobot logs ROOM`.")
            if waiting:
                say(f"waiting for {', '.join(waiting)}")
            return not waiting

        await _poll(running, lambda: _lines(waiting))


async def wait_until_healthy(settings: Settings, say: Say) -> None:
    """Wait until the platform says that every room is ok, asking it with this machine's key.

    Raises SetupError with each room's own reason after `READY_DEADLINE_S`.
    """
    reasons: dict[str, str] = {}
    async with Client.of(settings) as client:

        async def healthy() -> bool:
            nonlocal reasons
            try:
                health = (await client.request("GET", "/api/health")).body
            except AutoBotError as error:
                reasons = {"main": error.detail}
                return False
            rooms = health["rooms"].values()
            reasons = {r["room"]: r["reason"] or r["state"] for r in rooms if r["state"] != "ok"}
            if reasons:
                say(f"waiting for {', '.join(reasons)}")
            return not reasons

        await _poll(healthy, lambda: _lines(reasons))


def _lines(reasons: dict[str, str]) -> str:
    return "\n".join(f"{name}: {why}" for name, why in reasons.items())


async def _poll(done: Callable[[], Awaitable[bool]], why: Callable[[], str]) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while True:
        try:
            if await done():
                return
        except httpx.HTTPError:
            pass  # the dashboard restarts with its node; the deadline still holds
        if time.monotonic() > deadline:
            raise SetupError(
                f"Not ready after {READY_DEADLINE_S:.0f} s.\n{why()}", "See `autobot logs ROOM`."
            )
        await asyncio.sleep(0.25)
