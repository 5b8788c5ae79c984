"""The tools `http.get`, `http.request`, `notify` and `python`."""

from typing import Any

from autobot.settings import Settings
from autobot.tools.tool import Tool
from deployments.browser.egress.connector import Connector
from deployments.browser.outside.http.schemas import LONGEST_S, Answer, Get, Request
from deployments.browser.outside.http.service import OutsideHttp
from deployments.browser.outside.notify.schemas import Deliveries, Notification
from deployments.browser.outside.notify.service import Notifier
from deployments.browser.outside.policy import outside_connector
from deployments.browser.outside.python.schemas import Code, Computed
from deployments.browser.outside.python.service import Python

OUTSIDE, PYTHON = "browser:outside", "browser:python"


def outside_tools(settings: Settings, connector: Connector | None = None) -> list[Tool[Any, Any]]:
    """Return them; ``connector`` is the way out, by the settings if not given."""
    connector = connector or outside_connector(settings)
    http, notifier, python = OutsideHttp(connector), Notifier(connector), Python()
    return [
        Tool(
            name="http.get",
            title="Read a web address",
            description="GET an address of an API or a file and return its JSON, text or file. "
            "For pages that people read, browser.markdown is better.",
            arguments=Get,
            result=Answer,
            run=http.get,
            scopes=(OUTSIDE,),
            longest_s=LONGEST_S,
        ),
        Tool(
            name="http.request",
            title="Send an HTTP request",
            description="Send a request of any method to a web address, with JSON, text, a form or "
            "a file, and return what it answers.",
            arguments=Request,
            result=Answer,
            run=http.request,
            scopes=(OUTSIDE,),
            reads_only=False,
            on_unknown="ask",
            longest_s=LONGEST_S,
        ),
        Tool(
            name="notify",
            title="Send a notification",
            description="Send a message to people: by mail, chat or push services, named by "
            "addresses in Apprise's form.",
            arguments=Notification,
            result=Deliveries,
            run=notifier.notify,
            scopes=(OUTSIDE,),
            reads_only=False,
            on_unknown="ask",
            longest_s=180.0,
        ),
        Tool(
            name="python",
            title="Compute with Python",
            description="Run a short Python program on JSON inputs and return the value of its "
            "last expression. It has no files, no network and a part of the standard library.",
            arguments=Code,
            result=Computed,
            run=python.run,
            scopes=(PYTHON,),
            longest_s=90.0,
        ),
    ]
