"""What a body is, and when to come back."""

import time
from email.utils import formatdate

import httpx
import pytest

from deployments.browser.outside.errors import RequestFailed, RequestRefused
from deployments.browser.outside.http.answers import TOLD, answer_of, failure_of
from deployments.browser.outside.http.schemas import Answer

URL = "https://ann:swordfish@example.org/a?b=c"


def read(body: bytes, kind: str = "", **headers: str) -> Answer:
    named = headers | ({"content-type": kind} if kind else {})
    return answer_of(httpx.Response(200, headers=named, request=httpx.Request("GET", URL)), body)


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/html", b"caf\xc3\xa9", "café"),
        ("text/plain; charset=latin-1", b"caf\xe9", "café"),
        ("text/plain; charset=nonsense", b"a", "a"),
        ("text/csv", b"a\xff", "a\N{REPLACEMENT CHARACTER}"),
        ("", b"plain", "plain"),
        ("application/json", b"{broken", "{broken"),
        ("application/json", b"[" * 100_000, "[" * 100_000),
        ("application/json", b"9" * 5000, "9" * 5000),
    ],
)
def test_text_is_text_by_its_type_or_its_bytes(kind: str, body: bytes, text: str) -> None:
    answer = read(body, kind)
    assert (answer.text, answer.json_, answer.file) == (text, None, None)


@pytest.mark.parametrize(("kind", "body"), [("", b"\xff\xfe"), ("text/plain", b"a\0b")])
def test_bytes_are_a_file(kind: str, body: bytes) -> None:
    answer = read(body, kind)
    assert answer.text is None
    assert answer.file
    assert answer.file.media_type == (kind or "application/octet-stream")


def test_json_is_read_by_any_type_of_json() -> None:
    assert read(b'{"a": 1}', "application/problem+json; charset=utf-8").json_ == {"a": 1}


def test_the_url_has_no_password_and_the_headers_are_of_the_body_as_it_is() -> None:
    answer = read(b"x", **{"content-encoding": "gzip", "content-length": "9", "X-Other": "1"})
    assert answer.url == "https://example.org/a?b=c"
    assert answer.headers == {"x-other": "1"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        (formatdate(time.time() - 100, usegmt=True), 0.0),
        ("soon", None),
        ("-5", None),
        ("9" * 30, None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    answer = Answer(url="", status=503, headers={"retry-after": header}, json_=None)
    error = failure_of("GET", "https://example.org", answer)
    assert isinstance(error, RequestFailed)
    assert error.retry_after == seconds


def test_a_failure_tells_the_beginning_of_what_came_and_no_path() -> None:
    answer = Answer(url=URL, status=400, headers={"retry-after": "7"}, json_={"a": "x" * 1000})
    error = failure_of("POST", "https://example.org", answer)
    assert isinstance(error, RequestRefused)
    assert error.retry_after is None, "with it the engine would try again"
    assert error.detail.startswith('POST https://example.org was answered 400: {"a": "xxx')
    assert len(error.detail) < TOLD + 100
