"""A site of the outside world, and steps that may reach it."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from autobot.contracts.tools import JsonObject, ToolCall
from autobot.keys import NewKey, make_key
from autobot.settings import Settings
from autobot.tools.tool import ToolSet
from deployments.browser.outside.tools import outside_tools
from tests.contract.browser.outside.site import Site, serving

RECORD = make_key(NewKey(name="a", scopes=("browser:outside", "browser:python")))[1]
Run = Callable[..., Awaitable[JsonObject]]


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as site:
        yield site


def steps(opened: str, key: Any = RECORD, within_s: float = 60) -> Run:
    """Run a tool by its name, where the owner has ``opened`` these addresses."""
    tools = ToolSet(outside_tools(Settings(egress_allow=opened)))

    async def run(tool: str, idempotency_key: str | None = None, **given: Any) -> JsonObject:
        return await tools.run(ToolCall(tool, given, key, within_s, idempotency_key))

    return run


@pytest.fixture
def run(site: Site) -> Run:
    """Steps that may reach ``site``."""
    return steps(f"127.0.0.1:{site.port}")
