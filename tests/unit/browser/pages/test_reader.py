"""Pages read as Markdown in bounded processes: hostile ones cost their caller alone."""

import asyncio
import time
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from autobot.errors import TooLarge
from deployments.browser.pages.reader import Readers
from tests.processes import children_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SECONDS = 3
BLANKS = "<p>" + " " * 200_000 + "x</p>"
"""Takes markdownify hours: a regular expression of its looks at each blank from each other one."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def readers() -> AsyncIterator[Readers]:
    readers = Readers((65534, 65534), SECONDS)
    await readers.markdown("a", "<p>warm", "", whole=True, links=True)
    yield readers
    readers.close()


async def whole(readers: Readers, html: str, owner: str = "a", *, links: bool = True) -> str:
    return await readers.markdown(owner, html, "http://x.example/", whole=True, links=links)


async def test_a_page_is_read_without_what_nobody_reads(readers: Readers) -> None:
    html = "<head><title>t</title></head><h1>Tea</h1><script>x<b></script><p><a href='/a'>on</a>"
    assert await whole(readers, html) == "# Tea\n\n[on](/a)\n"
    assert await whole(readers, html, links=False) == "# Tea\n\non\n"


@pytest.mark.parametrize("html", ["", "<", "<!--", "\x00", "<p>\ud83d</p>", "<svg><title>"])
async def test_what_is_hardly_a_page_is_read_all_the_same(readers: Readers, html: str) -> None:
    for all_of_it in (True, False):
        text = await readers.markdown("a", html, "", whole=all_of_it, links=True)
        assert text.endswith("\n")


async def test_a_page_nested_deeper_than_the_libraries_go_is_given_as_text(
    readers: Readers,
) -> None:
    assert "deep" in await whole(readers, "<blockquote>" * 1500 + "deep")


async def test_tags_that_never_end_are_read_in_linear_time(readers: Readers) -> None:
    async def seconds(count: int) -> float:
        began = time.monotonic()
        await whole(readers, "<!--" + "<head " * count)
        return time.monotonic() - began

    await seconds(100)
    assert await seconds(80_000) < 10 * max(0.1, await seconds(20_000))


async def test_a_page_that_takes_for_ever_stops_nobody_and_is_ended(readers: Readers) -> None:
    hostile = [asyncio.ensure_future(whole(readers, BLANKS, "a")) for _ in range(6)]
    await asyncio.sleep(0.5)
    began = time.monotonic()
    assert await whole(readers, "<p>hello", "b") == "hello\n"
    assert time.monotonic() - began < SECONDS
    for one in await asyncio.gather(*hostile[:3], return_exceptions=True):
        assert isinstance(one, TooLarge)
    for late in hostile[3:]:
        late.cancel()
    await asyncio.gather(*hostile, return_exceptions=True)


@pytest.mark.parametrize("step", range(16))
async def test_the_process_of_a_caller_that_hangs_up_ends(readers: Readers, step: int) -> None:
    """Whatever it is at: receiving the page, taking it apart, reading it."""
    reading = asyncio.ensure_future(whole(readers, BLANKS + "<p>" + "a" * 6_000_000))
    assert readers._process is not None
    parent = psutil.Process(readers._process.pid)
    while not children_of(parent):  # noqa: ASYNC110  another process's doing has no event
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.01 * step)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    async with asyncio.timeout(3):
        while children_of(parent):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_page_that_takes_all_memory_is_refused(readers: Readers) -> None:
    with pytest.raises(TooLarge):
        await whole(readers, "<p>a" * 1_500_000)
    assert await whole(readers, "<p>still here") == "still here\n"


async def test_a_reader_that_was_killed_is_started_again(readers: Readers) -> None:
    assert readers._process is not None
    readers._process.kill()
    assert await whole(readers, "<p>again") == "again\n"
