"""Whoever asks without a key costs no more than one who asks now and then."""

import asyncio

import pytest

from autobot.web.remembered import Remembered


class Counted:
    def __init__(self) -> None:
        self.made = 0

    async def make(self) -> int:
        self.made += 1
        await asyncio.sleep(0.01)
        return self.made


async def test_many_who_ask_at_once_share_one_answer() -> None:
    counted = Counted()
    remembered = Remembered(counted.make, 60)
    assert await asyncio.gather(*(remembered.get() for _ in range(50))) == [1] * 50


async def test_it_is_made_anew_when_it_is_old() -> None:
    counted = Counted()
    remembered = Remembered(counted.make, 0)
    assert [await remembered.get() for _ in range(3)] == [1, 2, 3]


async def test_who_goes_away_or_fails_leaves_it_to_the_next() -> None:
    counted = Counted()
    broken = [True]

    async def make() -> int:
        if broken.pop(0):
            raise ValueError("broken")
        return await counted.make()

    remembered = Remembered(make, 60)
    with pytest.raises(ValueError, match="broken"):
        await remembered.get()
    broken += [False, False]
    leaving = asyncio.ensure_future(remembered.get())
    await asyncio.sleep(0)
    leaving.cancel()
    assert await remembered.get() == 2
