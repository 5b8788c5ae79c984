"""One-shot jobs as the tests write them: a page, and what to do on it."""

from typing import Any

from deployments.browser.actions import Action, Pdf, Screenshot, WaitUntil
from deployments.browser.engine import Page

Job = tuple[Page, Action]


def shot_of(page: Page, **options: Any) -> Job:
    return page, Screenshot(timeout_s=page.timeout_s, **options)


def pdf_of(page: Page, **options: Any) -> Job:
    return page, Pdf(timeout_s=page.timeout_s, **options)


def shot(url: str, wait_until: WaitUntil = "load", timeout_s: float = 30) -> Job:
    return shot_of(Page(url=url, wait_until=wait_until, timeout_s=timeout_s))


def shot_html(number: int) -> Job:
    return shot_of(Page(html=f"<p>{number}"))
