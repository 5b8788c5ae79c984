"""The page Automations, against room main's own routes and engine."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.e2e.web.conftest import visit
from tests.e2e.web.stub import KEY, Platform

pytestmark = pytest.mark.asyncio(loop_scope="session")

GREET = """name: greet
description: Says hello.
on:
  manual: {}
  schedule:
    cron: "0 7 * * *"
    timezone: Europe/Berlin
    inputs: {city: Bern}
inputs:
  city: {type: string, title: City}
  count: {type: integer, default: 2}
steps:
  - id: hold
    use: test.wait
  - id: say
    use: test.echo
    with: {text: "${{ inputs.city }}"}
"""
ASK = """name: ask
steps:
  - id: leave
    use: approve
    with: {message: Send the letter?}
  - id: send
    use: test.echo
    with: {sent: true}
"""
BREAK = """name: break
steps:
  - id: first
    use: test.echo
    with: {n: 1}
  - id: shop
    use: test.fail
    retry: {attempts: 1}
    with: {n: 2}
"""


class Api:
    """The platform, as another client of it calls it."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base = page, base

    async def call(self, method: str, path: str, data: Any = None, kind: str = "json") -> Any:
        headers = {"authorization": f"Bearer {KEY}", "content-type": f"application/{kind}"}
        answer = await self.page.request.fetch(
            self.base + path, method=method, headers=headers, data=data
        )
        assert answer.ok, await answer.text()
        return await answer.json()

    async def publish(self, text: str) -> str:
        name = (await self.call("POST", "/api/automations", text, "yaml"))["id"]
        await self.call("POST", f"/api/automations/{name}/publish", {})
        return name

    async def start(self, name: str) -> str:
        started = await self.call("POST", f"/api/automations/{name}/runs", {"inputs": {}})
        return started["id"]


@pytest.fixture
def api(signed_in: Page, ingress: Any) -> Api:
    return Api(signed_in, f"http://127.0.0.1:{ingress.port}")


async def write(page: Page, text: str) -> None:
    """Replace what stands in the editor."""
    editor = page.get_by_label("The automation's document in YAML")
    await editor.click()
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Delete")  # a browser gives a text the looks of what it replaces
    await page.keyboard.insert_text(text)


async def test_an_automation_is_written_published_started_and_seen_to_its_end(
    signed_in: Page, platform: Platform
) -> None:
    page = signed_in
    await visit(page, "Automations")
    await expect(page.get_by_text("There is no automation yet.")).to_be_visible()
    await page.get_by_role("link", name="New automation").click()
    await write(page, GREET)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved as revision 1")).to_be_visible()
    await page.get_by_role("button", name="Publish").click()
    await expect(
        page.get_by_role("list", name="Next starts").get_by_role("listitem")
    ).to_have_count(5)
    start = page.get_by_role("button", name="Start")
    await start.click()
    await expect(page.get_by_role("alert").filter(has_text="(needed)")).to_be_visible()
    await page.get_by_label("City").fill("Rome")
    await start.click()
    steps = page.get_by_role("list", name="Steps").get_by_role("listitem")
    await expect(steps.filter(has_text="hold")).to_contain_text("running")
    await page.get_by_role("button", name=re.compile("Runs in progress 1")).click()
    await expect(
        page.get_by_role("dialog").get_by_role("link", name=re.compile("^greet-"))
    ).to_be_visible()
    await page.keyboard.press("Escape")
    platform.automating.tools.gate.set()
    await expect(steps.filter(has_text="say")).to_contain_text("succeeded")
    await steps.filter(has_text="say").get_by_text("Result").click()
    await expect(steps.filter(has_text="say")).to_contain_text('"text": "Rome"')
    await expect(page.get_by_role("list", name="Journal")).to_contain_text("ended")
    await visit(page, "Automations")
    row = page.get_by_role("list", name="Automations").get_by_role("listitem")
    await expect(row).to_contain_text("next ")
    await expect(row.get_by_role("link", name=re.compile("Run of greet"))).to_contain_text(
        "succeeded"
    )


async def test_mistakes_are_shown_at_their_line_and_column(signed_in: Page) -> None:
    page = signed_in
    await page.get_by_role("navigation").get_by_role("link", name="Automations").click()
    await page.get_by_role("link", name="New automation").click()
    await write(page, "name: oops\nmode: sometimes\nsteps:\n  - id: a\n    use: test.nothing\n")
    await page.get_by_role("button", name="Save").click()
    mistakes = page.get_by_role("list", name="Mistakes")
    await expect(mistakes).to_contain_text("mode")
    first = mistakes.get_by_role("button").first
    await expect(first).to_have_text(re.compile(r"2:\d+"))
    await expect(page.locator(".cm-lint-marker-error").first).to_be_visible()
    await first.click()
    await expect(page.get_by_label("The automation's document in YAML")).to_be_focused()


async def test_the_editor_completes_from_the_formats_schema(signed_in: Page) -> None:
    page = signed_in
    await page.get_by_role("navigation").get_by_role("link", name="Automations").click()
    await page.get_by_role("link", name="New automation").click()
    await write(page, "name: a\nmode: ")
    await page.keyboard.press("Control+Space")
    await expect(page.get_by_role("option", name="parallel")).to_be_visible()


async def test_a_saving_that_comes_second_shows_both_texts(signed_in: Page, api: Api) -> None:
    page = signed_in
    await api.publish(ASK)
    await visit(page, "Automations")
    await page.get_by_role("link", name="ask", exact=True).click()
    await expect(page.get_by_text("Saved as revision 1")).to_be_visible()
    await write(page, ASK.replace("letter", "mine"))
    theirs = ASK.replace("letter", "theirs")
    await api.call("PUT", "/api/automations/ask?revision=1", theirs, "yaml")
    await page.get_by_role("button", name="Save").click()
    conflict = page.get_by_role("region", name="Somebody else has saved meanwhile")
    await expect(conflict).to_contain_text("Send the mine?")
    await expect(conflict).to_contain_text("Send the theirs?")
    await conflict.get_by_role("button", name="Go on with yours").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved as revision 3")).to_be_visible()
    assert "Send the mine?" in (await api.call("GET", "/api/automations/ask"))["draft"]


async def test_a_question_is_answered_in_the_tray_from_any_page(signed_in: Page, api: Api) -> None:
    page = signed_in
    run = await api.start(await api.publish(ASK))
    await page.get_by_role("button", name=re.compile("1 waits for you")).click()
    await (
        page.get_by_role("group", name="Question of step leave")
        .get_by_role("button", name="Approve")
        .click()
    )
    await expect(page.get_by_text("Nothing is in progress.")).to_be_visible()
    assert (await api.call("GET", f"/api/runs/{run}"))["state"] == "succeeded"


async def test_a_run_is_paused_resumed_asked_and_cancelled(
    signed_in: Page, api: Api, web: str
) -> None:
    page = signed_in
    run = await api.start(await api.publish(ASK))
    await page.goto(f"{web}runs/{run}")
    await expect(page.get_by_role("group", name="Question of step leave")).to_contain_text(
        "Send the letter?"
    )
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_role("button", name="Run again")).to_be_visible()
    assert (await api.call("GET", f"/api/runs/{run}"))["state"] == "cancelled"


async def test_a_failed_run_goes_on_from_its_failed_step(
    signed_in: Page, api: Api, platform: Platform, web: str
) -> None:
    page = signed_in
    run = await api.start(await api.publish(BREAK))
    await page.goto(f"{web}runs/{run}")
    await expect(page.get_by_text("The shop is closed.").first).to_be_visible()
    platform.automating.tools.broken = False
    await page.get_by_role("button", name="Retry from shop").click()
    await expect(page).not_to_have_url(f"{web}runs/{run}")
    steps = page.get_by_role("list", name="Steps").get_by_role("listitem")
    await expect(steps.filter(has_text="shop")).to_contain_text("succeeded")


async def test_a_live_run_survives_the_loss_of_main_for_a_moment(
    signed_in: Page, api: Api, ingress: Any, platform: Platform, web: str
) -> None:
    page = signed_in
    run = await api.start(await api.publish(ASK))
    await page.goto(f"{web}runs/{run}")
    await expect(page.get_by_role("group", name="Question of step leave")).to_be_visible()
    ingress.down()
    await expect(page.get_by_text("The connection was lost")).to_be_visible()
    ingress.up()
    await page.get_by_role("button", name="Approve").click()
    await expect(page.get_by_role("list", name="Journal")).to_contain_text("ended")
    entries = page.get_by_role("list", name="Journal").get_by_role("listitem")
    await expect(entries.filter(has_text="created")).to_have_count(1)


async def test_an_automation_is_turned_off_and_deleted_after_a_question(
    signed_in: Page, api: Api
) -> None:
    page = signed_in
    await api.publish(ASK)
    await visit(page, "Automations")
    await page.get_by_role("link", name="ask", exact=True).click()
    await page.get_by_role("button", name="Turn off").click()
    await expect(page.get_by_role("button", name="Start")).to_be_disabled()
    await page.get_by_role("button", name="Delete").click()
    await (
        page.get_by_role("group", name="Delete it and cancel its runs?")
        .get_by_role("button", name="Delete")
        .click()
    )
    await expect(page.get_by_text("There is no automation yet.")).to_be_visible()
