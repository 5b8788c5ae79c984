"""Work ends with the caller who asked for it."""

import asyncio
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from autobot.web.hangup import unless_hung_up


class Caller:
    """The server's side of a connection whose request body has been read."""

    def __init__(self) -> None:
        self.hung_up = asyncio.Event()

    def request(self) -> Request:
        return Request({"type": "http"}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        await self.hung_up.wait()
        return {"type": "http.disconnect"}


async def test_the_result_of_finished_work_is_returned() -> None:
    async def work() -> int:
        return 7

    assert await unless_hung_up(Caller().request(), work()) == 7


async def test_errors_of_the_work_pass_through() -> None:
    async def work() -> int:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await unless_hung_up(Caller().request(), work())


async def test_work_is_cancelled_when_the_caller_hangs_up() -> None:
    caller, cancelled = Caller(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    running = asyncio.create_task(unless_hung_up(caller.request(), work()))
    await asyncio.sleep(0)
    caller.hung_up.set()
    with pytest.raises(ClientDisconnect):
        await running
    assert cancelled.is_set()
