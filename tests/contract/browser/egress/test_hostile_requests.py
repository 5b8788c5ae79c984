"""One request, or one page, must never stop the others: another caller is answered meanwhile."""

import asyncio
import time
from typing import Any

import pytest

from tests.contract.browser.callers import Caller

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(200)]

LONGEST_STOP_S = 3.0
"""On a loaded machine; what these requests did before stopped everybody for ten times that."""
NESTED = "<!--" + "<head " * 40_000
BLANKS = "<p>" + " " * 150_000 + "x"


async def longest_stop(work: "asyncio.Future[Any]") -> float:
    """How long the event loop was stopped while ``work`` was done."""
    longest = 0.0
    while not work.done():
        began = time.monotonic()
        await asyncio.wait({work}, timeout=0.05)
        longest = max(longest, time.monotonic() - began - 0.05)
    return longest


@pytest.mark.parametrize("html", [NESTED, BLANKS], ids=["tags that never end", "blanks"])
async def test_a_page_that_takes_for_ever_to_read_stops_nobody(
    callers: tuple[Caller, Caller], html: str
) -> None:
    hostile, other = callers
    await other.post("/markdown", html="<p>warm", whole=True)
    work = asyncio.ensure_future(hostile.post("/markdown", html=html, whole=True, timeout_s=6))
    stop = asyncio.ensure_future(longest_stop(work))
    answer = await other.post("/markdown", html="<p>hello", whole=True, timeout_s=30)
    assert (answer.status_code, answer.text) == (200, "hello\n")
    assert (await work).status_code in (200, 413, 504)
    assert await stop < LONGEST_STOP_S


async def test_a_glob_of_many_choices_stops_nobody(callers: tuple[Caller, Caller]) -> None:
    hostile, other = callers
    session = await hostile.open()
    await session.goto("/form")
    glob = "*" + "{*,*}" * 12 + "never"
    work = asyncio.ensure_future(session.answer("wait", url=glob, timeout_s=1))
    stop = asyncio.ensure_future(longest_stop(work))
    assert (await other.post("/content", html="<p>hello")).status_code == 200
    assert (await work).status_code == 504
    assert await stop < LONGEST_STOP_S
    assert (await session.answer("wait", url="**/form", timeout_s=5)).status_code == 200
    assert (await session.answer("wait", url="{", timeout_s=5)).status_code == 422
    await session.close()


async def test_a_difference_of_long_pages_stops_nobody(callers: tuple[Caller, Caller]) -> None:
    session = await callers[0].open()
    await session.goto("/form")
    fill = """seed => document.body.innerHTML = Array.from({length: 6000},
        (_, n) => `<p>${n * seed % 97}</p>`).join("")"""
    for seed in (1, 31):
        await session.do("evaluate", expression=fill, argument=seed, timeout_s=60)
        work = asyncio.ensure_future(session.do("snapshot", diff=True, timeout_s=100))
        assert await longest_stop(work) < LONGEST_STOP_S
        assert "tree" in await work
    await session.close()


async def test_a_page_longer_than_is_returned_does_not_leave_its_process(caller: Caller) -> None:
    session = await caller.open()
    await session.goto("/form")
    long = "document.body.setAttribute('title', 'x'.repeat(2e7)), 1"
    await session.do("evaluate", expression=long, timeout_s=60)
    for action in ("content", "markdown"):
        answer = await session.answer(action, timeout_s=60)
        assert (answer.status_code, "characters" in answer.text) == (422, True)
    await session.close()
