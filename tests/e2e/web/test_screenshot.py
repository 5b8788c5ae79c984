"""A web address in, its picture out."""

import pytest
from playwright.async_api import Page, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_screenshot_of_an_address_is_shown(browser_page: Page) -> None:
    await browser_page.get_by_label("Web address").fill("example.org")
    await browser_page.get_by_label("Web address").press("Enter")
    picture = browser_page.get_by_role("img", name="Screenshot of https://example.org/")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [
        640,
        400,
    ]
    await expect(browser_page.get_by_role("link", name="Save")).to_be_visible()


LOADS = """src => new Promise(resolve => {
    const image = new Image();
    image.onload = () => resolve(true);
    image.onerror = () => resolve(false);
    image.src = src;
})"""


async def test_next_picture_frees_the_one_before(browser_page: Page) -> None:
    first = await shoot(browser_page, "example.org")
    assert await browser_page.evaluate(LOADS, first)
    second = await shoot(browser_page, "example.net")
    assert await browser_page.evaluate(LOADS, second)
    assert not await browser_page.evaluate(LOADS, first)


async def shoot(page: Page, site: str) -> str | None:
    """Take a picture of ``site`` and return the object URL it is shown from."""
    await page.get_by_label("Web address").fill(site)
    await page.get_by_role("button", name="Take").click()
    picture = page.get_by_role("img", name=f"Screenshot of https://{site}/")
    await expect(picture).to_be_visible()
    return await picture.get_attribute("src")


async def test_refused_and_impossible_addresses_are_told_apart(browser_page: Page) -> None:
    field = browser_page.get_by_label("Web address")
    alert = browser_page.get_by_role("alert")
    await field.fill("http://192.168.1.1/")
    await field.press("Enter")
    await expect(alert.filter(has_text="192.168.1.1 is a private address.")).to_be_visible()
    await field.fill("not an address")
    await field.press("Enter")
    await expect(alert.filter(has_text="That is not a web address.")).to_be_visible()
