"""``x-request-id``: a caller's own name for a request, or one that is made; in logs and answers."""

import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import MutableHeaders
from starlette.types import Scope

HEADER = "x-request-id"
PLAIN = re.compile(r"[A-Za-z0-9._:@/+=-]{1,128}")
_current: ContextVar[str | None] = ContextVar("autobot_request_id", default=None)


def begin(scope: Scope) -> str:
    """Name the request of ``scope``; what is passed on from here carries the same name."""
    headers = MutableHeaders(scope=scope)
    given = headers.get(HEADER, "")
    name = given if PLAIN.fullmatch(given) else uuid.uuid4().hex
    headers[HEADER] = name
    _current.set(name)
    return name


def current() -> str | None:
    """The name of the request that is being answered, where there is one."""
    return _current.get()
