"""Named profiles over HTTP: sealed, found by another replica, each key's own, one writer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from autobot.contracts.profiles import FakeProfiles, Outcome
from autobot.errors import Unavailable
from tests.contract.browser.callers import KEY, PLAIN, PLAIN_KEY, RECORD, Caller, Sitting
from tests.contract.browser.conftest import real_browser, serve_room
from tests.contract.browser.playground import playground

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


class Broken(FakeProfiles):
    """Room redis, which may be away."""

    away = False

    async def save(self, owner: str, name: str, token: str, sealed: bytes) -> Outcome:
        if self.away:
            raise Unavailable("Room redis does not answer about profiles.")
        return await super().save(owner, name, token, sealed)


class Two(NamedTuple):
    """Two replicas with a browser each, and the one store behind them."""

    store: Broken
    here: Caller
    there: Caller
    stranger: Caller


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory, browser_user: None) -> AsyncIterator[Two]:
    store = Broken({RECORD.id, PLAIN.id})
    async with contextlib.AsyncExitStack() as stack:
        port = await stack.enter_async_context(playground())
        homes = [tmp_path_factory.mktemp(name) for name in ("here", "there")]
        browsers = [real_browser(home, f"127.0.0.1:{port}") for home in homes]
        for browser in browsers:
            browser.start()
            stack.push_async_callback(browser.close)
        rooms = [serve_room(browser, [RECORD, PLAIN], profiles=store) for browser in browsers]
        here, there = [await stack.enter_async_context(room) for room in rooms]
        home = f"http://127.0.0.1:{port}"
        yield Two(
            store, Caller(here, home, KEY), Caller(there, home, KEY), Caller(there, home, PLAIN_KEY)
        )


async def sign_in(session: Sitting) -> None:
    await session.goto("/login")
    await session.do("type", selector="[name=user]", text="ann")
    await session.do("type", selector="[name=password]", text="tea", press="Enter")
    await session.do("wait", url="**/account")


async def who(session: Sitting) -> str:
    await session.goto("/account")
    return await session.text("#who")


async def kept(two: Two, name: str) -> dict[str, Any]:
    listed = (await two.there.ask("GET", "/profiles")).json()["profiles"]
    return next(profile for profile in listed if profile["name"] == name)


async def test_a_login_is_kept_sealed_and_found_by_another_replica(two: Two) -> None:
    first = await two.here.open(profile="shop")
    await sign_in(first)
    await first.do("evaluate", expression="localStorage.basket = 'tea'")
    assert (await first.state())["profile"] == "shop"
    await first.close()
    sealed = two.store.kept[RECORD.id]["shop"].sealed
    for secret in (b"ann", b"session", b"basket", KEY.encode(), RECORD.sha256.encode()):
        assert secret not in sealed
    heir = await two.there.open(profile="shop")
    assert await who(heir) == "ann"
    basket = await heir.do("evaluate", expression="localStorage.basket")
    assert basket["value"] == "tea"
    plain = await two.there.open()
    assert await who(plain) == "nobody"
    await heir.close()
    await plain.close()


async def test_another_keys_profile_of_that_name_is_another_profile(two: Two) -> None:
    mine = await two.here.open(profile="same")
    await sign_in(mine)
    await mine.close()
    theirs = await two.stranger.open(profile="same")
    assert await who(theirs) == "nobody"
    await theirs.close()
    # Even if room redis handed one key the other's profile, it would not open.
    two.store.kept[PLAIN.id]["same"] = two.store.kept[RECORD.id]["same"]
    refused = await two.stranger.post("/sessions", profile="same")
    assert (refused.status_code, refused.json()["type"][-15:]) == (409, "profile-damaged")
    assert (await two.stranger.ask("DELETE", "/profiles/same")).status_code == 204
    listed = (await two.here.ask("GET", "/profiles")).json()["profiles"]
    assert "same" in {profile["name"] for profile in listed}


async def test_one_session_at_a_time_writes_a_profile(two: Two) -> None:
    first = await two.here.open(profile="one")
    for caller in (two.here, two.there):
        refused = await caller.post("/sessions", profile="one")
        assert refused.status_code == 409, refused.text
        assert "Another session is using profile `one`" in refused.text
    saved = await two.here.ask("POST", first.path + "/profile")
    assert saved.json()["name"] == "one"
    assert (await two.there.ask("DELETE", "/profiles/one")).status_code == 409
    await first.close()
    second = await two.there.open(profile="one")
    await second.close()
    assert (await two.there.ask("DELETE", "/profiles/one")).status_code == 204
    assert (await two.there.ask("DELETE", "/profiles/one")).status_code == 404


async def test_a_session_that_ends_by_itself_saves_its_profile(two: Two) -> None:
    session = await two.here.open(profile="idle", idle_s=1)
    await sign_in(session)
    async with asyncio.timeout(60):
        while "idle" not in two.store.kept.get(RECORD.id, {}):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        while (await kept(two, "idle"))["in_use"]:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    heir = await two.there.open(profile="idle")
    assert await who(heir) == "ann"
    await heir.close()


async def test_a_save_on_demand_is_there_when_nothing_is_saved_at_the_end(two: Two) -> None:
    session = await two.here.open(profile="demand")
    await sign_in(session)
    saved = (await two.here.ask("POST", session.path + "/profile")).json()
    assert saved["bytes"] == (await kept(two, "demand"))["bytes"]
    await session.do("evaluate", expression="localStorage.late = 'yes'")
    await two.here.ask("DELETE", session.path + "?save=false")
    heir = await two.here.open(profile="demand")
    assert await who(heir) == "ann"
    assert (await heir.do("evaluate", expression="localStorage.late || ''"))["value"] == ""
    await heir.close()


async def test_a_profile_that_cannot_be_saved_keeps_its_session_open(two: Two) -> None:
    session = await two.here.open(profile="away")
    two.store.away = True
    try:
        assert (await two.here.ask("DELETE", session.path)).status_code == 503
        assert (await session.state())["profile"] == "away"
    finally:
        two.store.away = False
    await session.close()


async def test_what_a_profile_is_not_is_refused(two: Two) -> None:
    both = {"profile": "a", "storage": {"cookies": [], "origins": []}}
    for body in ({"profile": "../a"}, {"profile": ""}, {"profile": "a" * 65}, both):
        assert (await two.here.post("/sessions", **body)).status_code == 422, body
    plain = await two.here.open()
    assert (await two.here.ask("POST", plain.path + "/profile")).status_code == 409
    await plain.close()
