"""What actions, readings and the screencast see of the session they are done in."""

import asyncio
from pathlib import Path
from typing import Protocol

from playwright.async_api import BrowserContext
from playwright.async_api import Page as Tab

from deployments.browser.egress.connector import Connector
from deployments.browser.engine import SessionSpec
from deployments.browser.pages.reader import Readers


class OpenSession(Protocol):
    """``newest`` is the tab that actions without a number use; ``page_status`` that of the last
    `goto`; ``last_snapshot`` what each tab's last snapshot said.
    """

    context: BrowserContext
    connector: Connector
    spec: SessionSpec
    files: Path
    readers: Readers
    ended: asyncio.Event
    newest: Tab | None
    page_status: int | None
    last_snapshot: dict[Tab, str]
