"""Where on a page an action is done, and how long it may take."""

from typing import Any

from playwright.async_api import Locator
from playwright.async_api import Page as Tab

from deployments.browser import actions as a


def ms(action: a.Action) -> float:
    return 1000 * action.timeout_s


def locate(tab: Tab, element: a.Element) -> Locator:
    if element.ref is not None:
        return tab.locator(f"aria-ref={element.ref}")
    if element.role is not None:
        role: Any = element.role
        if element.label is None:
            return tab.get_by_role(role)
        return tab.get_by_role(role, name=element.label)
    return tab.locator(element.selector or "html")
