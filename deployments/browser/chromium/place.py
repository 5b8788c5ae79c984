"""Where on a page an action is done, and how long it may take."""

from typing import Any

from playwright.async_api import Locator
from playwright.async_api import Page as Tab

from deployments.browser import actions as a


def ms(action: a.Action) -> float:
    """Return the action's time in milliseconds, as Playwright takes it."""
    return 1000 * action.timeout_s


def locate(tab: Tab, element: a.Element) -> Locator:
    """Return Playwright's locator of the element, or of the whole page when none is named.

    Nothing is looked up yet: it may match nothing, or several elements. A ``ref`` is one of the
    tab's last snapshot.
    """
    if element.ref is not None:
        return tab.locator(f"aria-ref={element.ref}")
    if element.role is not None:
        role: Any = element.role
        if element.label is None:
            return tab.get_by_role(role)
        return tab.get_by_role(role, name=element.label)
    return tab.locator(element.selector or "html")
