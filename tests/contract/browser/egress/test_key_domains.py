"""A key's lists of domains hold for everything it does, beside a session's own."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
import structlog

from autobot.keys import NewKey, make_key
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Domains, Policy, Target, target_of
from deployments.browser.engine import Rendered
from deployments.browser.pages.api import domains_of_key
from tests.contract.browser.callers import Caller
from tests.contract.browser.conftest import Rig, serve_room

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(90)]

OPEN_KEY, OPEN = make_key(NewKey(name="open", scopes=("browser",)))
DENIED_KEY, DENIED = make_key(
    NewKey(name="denied", scopes=("browser",), deny_domains=("127.0.0.1",))
)
NARROW_KEY, NARROW = make_key(
    NewKey(name="narrow", scopes=("browser",), allow_domains=("*.EXAMPLE.com",))
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(rig: Rig) -> AsyncIterator[Any]:
    async with serve_room(rig.browser, [OPEN, DENIED, NARROW]) as http:
        yield http


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (DENIED_KEY, "is on the deny list of this API key"),
        (NARROW_KEY, "is not on the allow list of this API key"),
    ],
    ids=["denied", "not allowed"],
)
async def test_a_keys_list_refuses_one_shots_and_sessions_and_says_whose_it_is(
    rig: Rig, http: Any, key: str, reason: str
) -> None:
    caller = Caller(http, "", key)
    url = rig.site.put("/listed", "<p>here")
    seen = len(rig.site.requests)
    session = await caller.open(allow=["127.0.0.1"])  # which widens nothing
    for answer in (
        await caller.post("/screenshot", url=url),
        await session.answer("goto", url=url),
    ):
        assert answer.status_code == 403
        assert answer.json()["type"].endswith("blocked-address")
        assert reason in answer.json()["detail"]
    await session.close()
    assert len(rig.site.requests) == seen


async def test_a_sessions_list_is_named_as_the_sessions(rig: Rig, http: Any) -> None:
    caller = Caller(http, "", OPEN_KEY)
    url = rig.site.put("/listed", "<p>here")
    assert (await caller.post("/screenshot", url=url)).status_code == 200
    session = await caller.open(deny=["127.0.0.1"])
    answer = await session.answer("goto", url=url)
    assert "is on the deny list of this session" in answer.json()["detail"]
    await session.close()


async def test_what_a_page_loads_is_held_to_the_keys_list_and_logged(chromium: Rig) -> None:
    from deployments.browser.actions import Content
    from deployments.browser.engine import Page

    before = len(chromium.site.requests)
    with structlog.testing.capture_logs() as logs:
        page = Page(
            html=f"<img src=http://127.0.0.1:{chromium.site.port}/x>",
            wait_until="networkidle",
            key_domains=domains_of_key(DENIED),
        )
        shown = await chromium.browser.once(page, Content())
    assert isinstance(shown, Rendered)
    assert len(chromium.site.requests) == before
    reasons = [log["reason"] for log in logs if log["event"] == "browser.blocked"]
    assert any("deny list of this API key" in reason for reason in reasons)


async def test_lists_add_up_and_never_replace_each_other() -> None:
    from autobot.errors import BlockedAddress

    allowed = frozenset([Target("127.0.0.1", 1)])
    connector = Connector(Policy(allowed)).within(Domains(deny=("127.0.0.1",), whose="API key"))
    with pytest.raises(BlockedAddress, match="API key"):
        await connector.within(Domains(allow=("127.0.0.1",))).admit(target_of("http://127.0.0.1:1"))
