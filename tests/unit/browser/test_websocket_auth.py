"""Where a WebSocket's key may stand."""

import base64

import pytest
from starlette.websockets import WebSocket

from autobot.errors import Unauthenticated
from deployments.browser.websocket_auth import key_of


def asked(query: str = "", protocols: tuple[str, ...] = (), **headers: str) -> WebSocket:
    async def nothing(*_: object) -> None: ...

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "websocket", "path": "/", "query_string": query.encode(), "headers": raw,
        "subprotocols": list(protocols),
    }  # fmt: skip
    return WebSocket(scope, nothing, nothing)  # type: ignore[arg-type]


def basic(said: str) -> str:
    return f"Basic {base64.b64encode(said.encode()).decode()}"


def test_a_key_stands_in_a_header_or_is_offered_as_a_subprotocol() -> None:
    assert key_of(asked(authorization="Bearer ab_1")) == "ab_1"
    assert key_of(asked(protocols=("autobot", "autobot.key.ab_1"))) == "ab_1"
    assert key_of(asked(authorization=basic("autobot:ab_1"))) == "ab_1"
    assert key_of(asked()) is None


@pytest.mark.parametrize("query", ["token=ab_1", "key=ab_1", "token=ab_1&allow=x"])
def test_a_key_in_the_query_is_refused_with_what_to_do_instead(query: str) -> None:
    with pytest.raises(Unauthenticated, match="subprotocol"):
        key_of(asked(query))
    assert key_of(asked(query, authorization="Bearer ab_2")) == "ab_2"


@pytest.mark.parametrize(
    "said", ["Basic !", "Basic", basic("no colon"), basic("user:"), "Digest x"]
)
def test_what_is_no_password_is_no_key(said: str) -> None:
    assert key_of(asked(authorization=said)) is None


def test_a_password_that_a_browser_remembers_is_no_key() -> None:
    assert key_of(asked(authorization=basic("autobot:ab_1"), origin="http://evil.example")) is None
