"""One-shot jobs as the tests write them: a page, and what to do on it."""

from typing import Any

from deployments.browser.actions import Action, Pdf, Screenshot
from deployments.browser.engine import Page

Job = tuple[Page, Action]


def shot_of(page: Page, **options: Any) -> Job:
    return page, Screenshot(timeout_s=page.timeout_s, **options)


def pdf_of(page: Page, **options: Any) -> Job:
    return page, Pdf(timeout_s=page.timeout_s, **options)
