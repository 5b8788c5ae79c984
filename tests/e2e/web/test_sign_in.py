"""Signing in with a pasted key, and what becomes of it."""

import pytest
from playwright.async_api import Page, expect

from tests.e2e.web.conftest import Ingress, sign_in
from tests.e2e.web.stub import CHAT_ONLY_KEY, KEY, Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def stores(page: Page) -> tuple[str | None, str | None]:
    """The key in the tab's store and in the device's."""
    read = "name => window[name].getItem('autobot.key')"
    return await page.evaluate(read, "sessionStorage"), await page.evaluate(read, "localStorage")


async def test_wrong_key_is_refused_in_words_and_kept_nowhere(page: Page) -> None:
    await sign_in(page, "ab_test_wrong")
    await expect(page.get_by_role("alert")).to_contain_text("This key is not accepted")
    await expect(page.get_by_label("API key")).to_be_focused()
    assert await stores(page) == (None, None)


async def test_empty_key_asks_for_one_without_a_request(page: Page, platform: Platform) -> None:
    await page.get_by_label("API key").press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("Paste an API key first.")


async def test_key_lives_in_the_tab_and_survives_a_reload(signed_in: Page) -> None:
    assert await stores(signed_in) == (KEY, None)
    await signed_in.reload()
    await expect(signed_in.get_by_role("heading", name="Chat")).to_be_visible()


async def test_remembered_key_is_kept_on_the_device_until_sign_out(page: Page, web: str) -> None:
    await page.get_by_label("Remember on this device").check()
    await sign_in(page, KEY)
    await expect(page.get_by_role("heading", name="Chat")).to_be_visible()
    other = await page.context.new_page()
    await other.goto(web)
    await expect(other.get_by_role("heading", name="Chat")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_label("API key")).to_be_visible()
    assert await stores(page) == (None, None)


async def test_revoked_key_ends_the_session_and_says_why(
    signed_in: Page, platform: Platform
) -> None:
    platform.revoked = True
    await expect(signed_in.get_by_role("alert")).to_contain_text("no longer accepted")
    assert await stores(signed_in) == (None, None)


async def test_sign_in_while_main_is_away_says_so(page: Page, ingress: Ingress) -> None:
    ingress.down()
    await sign_in(page, KEY)
    await expect(page.get_by_role("alert")).to_contain_text("main does not answer at http://")


async def test_key_without_the_scope_read_can_still_chat(page: Page) -> None:
    await sign_in(page, CHAT_ONLY_KEY)
    await expect(page.get_by_text("This key lacks the scope read")).to_be_visible()
    await page.get_by_label("Message").fill("Hello")
    await page.get_by_label("Message").press("Enter")
    await expect(page.get_by_role("log")).to_contain_text("A cluster is many computers")
