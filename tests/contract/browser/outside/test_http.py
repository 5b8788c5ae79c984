"""Requests of steps against real servers, under the egress policy."""

import asyncio
import base64
import pickle
import socket
import ssl
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from autobot.contracts.tools import ToolCall
from autobot.errors import AutoBotError, BlockedAddress, Invalid, Timeout, TooLarge
from autobot.keys import NewKey, make_key
from autobot.settings import Settings
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Address, Target
from deployments.browser.outside.errors import RequestFailed, RequestLost, RequestRefused
from deployments.browser.outside.http.schemas import Get
from deployments.browser.outside.http.service import OutsideHttp
from deployments.browser.outside.policy import OutsidePolicy
from tests.contract.browser.outside.conftest import RECORD, Run, steps
from tests.contract.browser.outside.site import Site, certificate, serving

pytestmark = pytest.mark.timeout(60)


async def test_a_json_answer_is_json_with_status_headers_and_url(run: Run, site: Site) -> None:
    answer = await run("http.get", url=f"{site.url}/json?b=1", query={"c": [2, "x y"]})
    assert answer["json"] == {"a": [1, None, "é"]}
    assert (answer["status"], answer["text"], answer["file"]) == (200, None, None)
    assert answer["headers"]["content-type"] == "application/json"
    assert answer["url"] == f"{site.url}/json?b=1&c=2&c=x+y"
    assert site.received[0].query == {"b": ["1"], "c": ["2", "x y"]}


async def test_text_and_bytes_are_told_apart(run: Run, site: Site) -> None:
    assert (await run("http.get", url=f"{site.url}/text"))["text"] == "café"
    assert (await run("http.get", url=f"{site.url}/empty"))["text"] == ""
    picture = (await run("http.get", url=f"{site.url}/picture"))["file"]
    assert picture["media_type"] == "image/png"
    assert base64.b64decode(picture["content"]) == b"\x89PNG\0\1"
    assert (await run("http.get", url=f"{site.url}/gzip"))["json"] == {"packed": True}


@pytest.mark.parametrize("path", ["/deep", "/nan"])
async def test_json_that_no_result_can_hold_is_text(run: Run, site: Site, path: str) -> None:
    answer = await run("http.get", url=f"{site.url}{path}")
    assert answer["json"] is None
    assert answer["text"]


@pytest.mark.parametrize(
    ("given", "kind", "body"),
    [
        ({"json": {"a": None}}, "application/json", b'{"a": null}'),
        ({"json": None}, "application/json", b"null"),
        ({"text": "é"}, "text/plain; charset=utf-8", "é".encode()),
        ({"form": {"a": [1, "b c"]}}, "application/x-www-form-urlencoded", b"a=1&a=b+c"),
        ({"file": {"media_type": "image/png", "content": "AAE="}}, "image/png", b"\0\1"),
    ],
)
async def test_a_body_is_sent_as_what_it_is(
    run: Run, site: Site, given: dict[str, Any], kind: str, body: bytes
) -> None:
    await run("http.request", method="POST", url=site.url, **given)
    sent = site.received[0]
    assert (sent.method, sent.headers["content-type"], sent.body) == ("POST", kind, body)


async def test_what_changes_something_carries_the_steps_key_unless_it_has_one(
    run: Run, site: Site
) -> None:
    await run("http.request", "run/step", method="POST", url=site.url, json=1)
    own = {"Idempotency-Key": "mine"}
    await run("http.request", "run/step", method="PUT", url=site.url, json=1, headers=own)
    await run("http.request", "run/step", method="GET", url=site.url)
    await run("http.get", "run/step", url=site.url)
    keys = [one.headers.get("idempotency-key") for one in site.received]
    assert keys == ["run/step", "mine", None, None]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422])
async def test_a_refusal_is_final_and_says_what_came(run: Run, site: Site, status: int) -> None:
    with pytest.raises(RequestRefused, match=f"answered {status}: not today") as refused:
        await run("http.get", url=f"{site.url}/status?status={status}&token=secret")
    assert (refused.value.status, refused.value.retry_after) == (422, None)
    assert "secret" not in refused.value.detail


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_a_failure_of_the_moment_is_tried_again_when_it_says(
    run: Run, site: Site, status: int
) -> None:
    with pytest.raises(RequestFailed) as failed:
        await run("http.get", url=f"{site.url}/status?status={status}&after=7")
    arrived = pickle.loads(pickle.dumps(failed.value))  # noqa: S301
    assert (arrived.status, arrived.retry_after) == (502, 7.0)
    with pytest.raises(RequestFailed) as failed:
        await run("http.get", url=f"{site.url}/status?status={status}")
    assert failed.value.retry_after is None
    later = time.strftime("%a,%%20%d%%20%b%%20%Y%%20%H:%M:%S%%20GMT", time.gmtime(time.time() + 60))
    with pytest.raises(RequestFailed) as failed:
        await run("http.get", url=f"{site.url}/status?status={status}&after={later}")
    assert 50 < (failed.value.retry_after or 0) <= 60


async def test_a_status_may_be_a_result(run: Run, site: Site) -> None:
    url = f"{site.url}/status?status=404"
    answer = await run("http.get", url=url, fail_on_status=False)
    assert (answer["status"], answer["text"]) == (404, "not today")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "[::ffff:127.0.0.1]", "0x7f.1"]
)
async def test_a_forbidden_address_is_not_connected_to(site: Site, host: str) -> None:
    connections: list[Any] = []

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        writer.close()

    async with await asyncio.start_server(noted, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(BlockedAddress, match="loopback"):
            await steps(f"127.0.0.1:{site.port}")("http.get", url=f"http://{host}:{port}/")
        with pytest.raises(BlockedAddress, match="loopback"):
            await steps("")("http.get", url=f"https://{host}:{port}/")
        await asyncio.sleep(0)
        assert not connections


async def test_an_address_of_each_family_can_be_opened(site: Site) -> None:
    run = steps(f"127.0.0.1:{site.port}")
    for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"):
        assert (await run("http.get", url=f"http://{host}:{site.port}/"))["status"] == 200
    with pytest.raises(BlockedAddress):  # a name opens nothing of this machine
        await steps(f"localhost:{site.port}")("http.get", url=f"http://localhost:{site.port}/")


async def test_a_redirect_is_checked_like_a_request(run: Run, site: Site) -> None:
    with serving() as other:
        with pytest.raises(BlockedAddress, match="loopback"):
            await run("http.get", url=f"{site.url}/redirect?to={other.url}/json")
        assert not other.received
    for nowhere in ("file:///etc/passwd", "gopher://127.0.0.1/", "http://"):
        with pytest.raises(AutoBotError) as refused:
            await run("http.get", url=f"{site.url}/redirect?to={nowhere}")
        assert refused.value.status < 500, nowhere


async def test_a_name_that_is_rebound_during_a_redirect_is_not_followed(site: Site) -> None:
    answers = iter(("192.0.2.7", "127.0.0.1"))
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[Address]:
        asked.append(host)
        return [ip_address(next(answers))]

    class Reaching(OutsidePolicy):
        def kind(self, address: Address) -> str | None:
            return None if str(address) == "192.0.2.7" else super().kind(address)

    class Pinned(Connector):
        """The first answer is a public address that this site has in this test."""

        def within(self, *lists: Any) -> Connector:
            return self

        async def admit(self, target: Target) -> list[Address]:
            assert [str(one) for one in await super().admit(target)] == ["192.0.2.7"]
            return [ip_address("127.0.0.1")]

    http = OutsideHttp(Pinned(Reaching(), resolve))
    given = Get(url=f"http://name.example:{site.port}/redirect?to=/json")
    with pytest.raises(BlockedAddress, match=r"resolves to 127\.0\.0\.1"):
        await http.get(given, ToolCall("http.get", {}, RECORD, 30))
    assert asked == ["name.example"] * 2
    assert len(site.received) == 1


async def test_another_site_is_told_no_credentials_and_no_body(run: Run, site: Site) -> None:
    with serving() as other:
        run = steps(f"127.0.0.1:{site.port}, 127.0.0.1:{other.port}")
        secret = {"Authorization": "Bearer s", "X-Api-Key": "s", "Cookie": "a=s", "Accept": "x/y"}
        to = f"{site.url}/redirect?to={other.url}/json"
        there = to.replace("://", "://ann:password@", 1)
        assert (await run("http.get", url=there, headers=secret))["url"] == f"{other.url}/json"
        assert "x-api-key" in site.received[0].headers
        sent = other.received[0].headers
        assert not {"authorization", "x-api-key", "cookie"} & set(sent)
        assert sent["accept"] == "x/y"
        with pytest.raises(RequestRefused, match="redirects the body"):
            await run("http.request", method="POST", url=f"{to}&status=307", json="s")
        await run("http.request", "key", method="POST", url=f"{to}&status=303", json="s")
        last = other.received[-1]
        assert (last.method, last.body) == ("GET", b"")
        assert "idempotency-key" not in last.headers


async def test_the_same_site_gets_everything_again(run: Run, site: Site) -> None:
    url = f"{site.url}/redirect?status=307&to=/json".replace("://", "://ann:password@")
    headers = {"x-api-key": "s"}
    answer = await run("http.request", "k", method="POST", url=url, json=1, headers=headers)
    assert answer["url"] == f"{site.url}/json", "without the password"
    last = site.received[-1]
    assert (last.method, last.body, last.headers["x-api-key"]) == ("POST", b"1", "s")
    assert last.headers["authorization"].startswith("Basic ")
    assert last.headers["idempotency-key"] == "k"
    url = f"{site.url}/redirect?status=303&to=/json"
    await run("http.request", "k", method="POST", url=url, json=1, headers=headers)
    last = site.received[-1]
    assert (last.method, last.body, last.headers["x-api-key"]) == ("GET", b"", "s")
    assert not {"idempotency-key", "content-type"} & set(last.headers)


async def test_redirects_end_and_may_be_left_alone(run: Run, site: Site) -> None:
    answer = await run("http.get", url=f"{site.url}/redirect?to=/json", follow_redirects=False)
    assert (answer["status"], answer["headers"]["location"]) == (302, "/json")
    site.received.clear()
    with pytest.raises(RequestRefused, match="more than 10 redirects"):
        await run("http.get", url=f"{site.url}/redirect")
    assert len(site.received) == 11


@pytest.mark.parametrize("path", ["/large", "/bomb"])
async def test_an_answer_is_bounded_unzipped_too(run: Run, site: Site, path: str) -> None:
    with pytest.raises(TooLarge, match="8 MiB"):
        await run("http.get", url=site.url + path)


async def test_an_answer_that_breaks_off_or_is_late_is_an_error(run: Run, site: Site) -> None:
    with pytest.raises(RequestFailed):
        await run("http.get", url=f"{site.url}/cut")
    with pytest.raises(Timeout, match=r"0\.5 s"):
        await run("http.get", url=f"{site.url}/slow", timeout_s=0.5)


async def test_whether_a_post_was_done_is_unknown_when_its_answer_is_lost(
    run: Run, site: Site
) -> None:
    with pytest.raises(RequestLost, match="was lost"):
        await run("http.request", method="POST", url=f"{site.url}/cut", json={})
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    unheard = steps(f"127.0.0.1:{port}")
    with pytest.raises(RequestFailed, match="does not answer"):
        await unheard("http.request", method="POST", url=f"http://127.0.0.1:{port}/", json={})


async def test_a_certificate_that_nobody_trusts_ends_it(tmp_path: Path) -> None:
    crt, key = certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(crt, key)
    with serving(tls=tls) as site:
        with pytest.raises(RequestFailed, match="certificate verify failed"):
            await steps(f"127.0.0.1:{site.port}")("http.get", url=f"{site.url}/json")
        assert not site.received
        connector = Connector(OutsidePolicy.of(Settings(egress_allow="127.0.0.1")))
        http = OutsideHttp(connector, ssl.create_default_context(cafile=str(crt)))
        answer = await http.get(Get(url=f"{site.url}/json"), ToolCall("", {}, RECORD, 30))
        assert answer.json_ == {"a": [1, None, "é"]}


async def test_a_key_with_domains_keeps_to_them(site: Site) -> None:
    new = NewKey(name="b", scopes=("browser:outside",), allow_domains=("example.com",))
    with pytest.raises(BlockedAddress, match="allow list of this API key"):
        await steps(f"127.0.0.1:{site.port}", make_key(new)[1])("http.get", url=site.url)
    assert not site.received


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"Host": "other.example"}},
        {"headers": {"Transfer-Encoding": "chunked"}},
        {"headers": {"a": "b\r\nc: d"}},
        {"headers": {"a b": "c"}},
        {"method": "POST", "json": 1, "text": "x"},
        {"method": "GET", "text": "x"},
        {"method": "POST", "file": {"media_type": "a/b", "content": "***"}},
        {"method": "TRACE"},
        {"url": "http://"},
    ],
)
async def test_what_is_no_request_is_refused_before_it_is_sent(
    run: Run, site: Site, given: dict[str, Any]
) -> None:
    with pytest.raises(Invalid):
        await run("http.request", **({"url": site.url} | given))
    assert not site.received
