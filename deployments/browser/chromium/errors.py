"""Playwright's errors as ours."""

import contextlib
import re
from collections.abc import Iterator

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from autobot.errors import Timeout, Unavailable
from deployments.browser.errors import ElementFailed, PageFailed

GONE = ("has been closed", "Connection closed", "browser has disconnected")
ELEMENT = (
    "strict mode violation",
    "not an <",
    "Element is not",
    "not a checkbox",
    "Unexpected token",
    "Unknown engine",
    "did not find some options",
    "aria-ref",
)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn Playwright's errors into ours."""
    try:
        yield
    except PlaywrightTimeout as error:
        raise Timeout(_telling(error.message)) from error
    except PlaywrightError as error:
        cause = error.message.partition("\n")[0]
        if "crashed" in cause:
            raise PageFailed("The page crashed, or used more memory than a page may.") from error
        if any(sign in cause for sign in GONE):
            raise Unavailable("The browser crashed while it rendered this page.") from error
        if any(sign in error.message for sign in ELEMENT):
            raise ElementFailed(_telling(error.message)) from error
        raise PageFailed(f"The page could not be rendered: {cause}") from error


def _telling(message: str) -> str:
    """The first line, and what Playwright was waiting for; without its colours."""
    plain = re.sub(r"\x1b\[\d*m", "", message)
    lines = [line.strip(" -") for line in plain.splitlines() if line.strip(" =-")]
    waited = [line for line in lines[1:] if not line.startswith("Call log")]
    return "; ".join([lines[0], *waited[:2]])[:500]
