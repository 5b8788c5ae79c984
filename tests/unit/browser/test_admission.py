"""Places for sessions: how many, for whom, in which order, and what memory has to say."""

import asyncio

import pytest

from autobot.errors import Busy
from deployments.browser.admission import AdmissionQueue, SessionAdmissionQueue, at_once, fair
from deployments.browser.chromium.isolation.memory import NEWCOMER, PER_SESSION, Meter

pytestmark = pytest.mark.timeout(20)


def of(most: int, max_waiting: int = 64) -> AdmissionQueue:
    admission = AdmissionQueue(lambda _: most - admission.inside, max_waiting)
    return admission


async def fill(admission: AdmissionQueue, owner: str) -> int:
    """Take places for ``owner`` until it is refused; return how many."""
    taken = 0
    try:
        while True:
            await admission.enter(owner, 0)
            taken += 1
    except Busy:
        return taken


async def test_one_key_has_most_of_the_places_and_the_next_ones_still_find_some() -> None:
    admission = of(64)
    assert [await fill(admission, owner) for owner in "abc"] == [48, 12, 3]
    with pytest.raises(Busy, match="48 browser sessions; the places that are left are for others"):
        await admission.enter("a", 0)
    await admission.enter("d", 0)
    assert admission.inside == 64


@pytest.mark.parametrize("most", [1, 2, 3, 4, 8, 64, 512])
async def test_a_key_alone_uses_three_quarters_and_leaves_another_one(most: int) -> None:
    admission = of(most)
    taken = await fill(admission, "a")
    assert taken == max(1, 3 * most // 4)
    assert most == 1 or await fill(admission, "b") >= 1


async def test_who_has_its_share_does_not_keep_others_waiting() -> None:
    admission = of(8)
    assert await fill(admission, "a") == 6
    waiting = asyncio.ensure_future(admission.enter("a", 5))
    await asyncio.sleep(0)
    assert admission.waiting == 1
    await admission.enter("b", 0)
    assert not waiting.done()
    admission.leave("b")
    admission.leave("a")
    await waiting
    assert (admission.inside, admission.waiting) == (6, 0)


async def test_keys_take_turns_however_many_each_waits_for() -> None:
    admission = of(1)
    await admission.enter("first", 1)
    order: list[str] = []

    async def come(owner: str) -> None:
        await admission.enter(owner, 5)
        order.append(owner)
        admission.leave(owner)

    waiting = [asyncio.ensure_future(come(owner)) for owner in ("a", "a", "a", "b", "c")]
    await asyncio.sleep(0)
    assert admission.waiting == 5
    admission.leave("first")
    await asyncio.gather(*waiting)
    assert order == ["a", "b", "c", "a", "a"]
    assert (admission.inside, admission.waiting) == (0, 0)


async def test_nobody_overtakes_the_line() -> None:
    admission = of(1)
    await admission.enter("a", 1)
    waiting = asyncio.ensure_future(admission.enter("b", 5))
    await asyncio.sleep(0)
    admission.leave("a")
    with pytest.raises(Busy):
        await admission.enter("c", 0)
    await waiting
    assert admission.inside == 1


async def test_a_wait_in_vain_and_a_full_line_are_busy() -> None:
    admission = of(0, max_waiting=2)
    with pytest.raises(Busy, match=r"within 0\.05 s"):
        await admission.enter("a", 0.05)
    lines = [asyncio.ensure_future(admission.enter(owner, 1)) for owner in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="no place"):
        await admission.enter("c", 5)
    for line in lines:
        line.cancel()
    await asyncio.gather(*lines, return_exceptions=True)
    assert admission.waiting == 0


async def test_one_key_cannot_fill_the_line() -> None:
    admission = of(0, max_waiting=64)
    lines = [asyncio.ensure_future(admission.enter("a", 5)) for _ in range(48)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await admission.enter("a", 5)
    other = asyncio.ensure_future(admission.enter("b", 5))
    await asyncio.sleep(0)
    assert admission.waiting == 49
    for line in [*lines, other]:
        line.cancel()
    await asyncio.gather(*lines, other, return_exceptions=True)


async def test_giving_up_at_the_moment_of_being_let_in_loses_no_place() -> None:
    admission = of(1)
    await admission.enter("a", 1)
    waiting = asyncio.ensure_future(admission.enter("b", 5))
    await asyncio.sleep(0)
    admission.leave("a")
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert admission.inside == 0
    await admission.enter("c", 0)


async def test_a_session_that_another_vm_may_have_is_not_waited_for() -> None:
    admission = SessionAdmissionQueue(lambda _: 0)
    with at_once(), pytest.raises(Busy, match="no place"):
        await admission.enter("a", 5)


async def test_sessions_not_measured_yet_count_by_an_estimate() -> None:
    used = 0
    meter = Meter(3 * PER_SESSION, lambda: used)
    meter.opened()
    meter.opened()
    assert meter.places() == 1
    meter.opened()
    assert meter.places() == 0
    used = PER_SESSION
    await meter.measure()
    assert meter.places() == 2
    used = 3 * PER_SESSION
    await meter.measure()
    assert meter.places() == 0


async def test_memory_that_others_pages_have_filled_leaves_a_new_key_a_session() -> None:
    meter = Meter(10 * PER_SESSION, lambda: 10 * PER_SESSION)
    await meter.measure()
    admission = AdmissionQueue(meter.places)
    assert (meter.places(), meter.places(newcomer=True)) == (0, NEWCOMER // PER_SESSION)
    await admission.enter("new", 0)
    with pytest.raises(Busy):
        await admission.enter("new", 0)


def test_the_rule_is_that_a_third_of_what_a_key_holds_stays_free() -> None:
    assert [fair(0, 0), fair(0, 1), fair(47, 17), fair(48, 16)] == [False, True, True, False]


async def test_who_comes_without_a_key_has_turns_as_well() -> None:
    admission = of(1)
    await admission.enter("", 0)
    waiting = asyncio.ensure_future(admission.enter("", 5))
    await asyncio.sleep(0)
    admission.leave("")
    await asyncio.wait_for(waiting, 1)


async def test_who_is_cancelled_as_a_place_becomes_free_does_not_have_it() -> None:
    admission = of(1)
    await admission.enter("a", 0)
    waiting = [asyncio.ensure_future(admission.enter(owner, 5)) for owner in "bc"]
    await asyncio.sleep(0)
    waiting[0].cancel()
    admission.leave("a")  # before the cancelled caller has run again
    await asyncio.wait_for(waiting[1], 1)
    assert (admission.inside, admission.waiting) == (1, 0)
