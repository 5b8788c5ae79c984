"""Notifications to a real webhook and a real mail server, under the egress policy."""

import asyncio
import json
import logging
import socket
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from autobot.errors import BlockedAddress, Invalid
from autobot.keys import NewKey, make_key
from deployments.browser.outside import child
from deployments.browser.outside.errors import RequestFailed, RequestRefused
from deployments.browser.outside.notify.service import LIMITS
from tests.contract.browser.outside.conftest import Run, steps
from tests.contract.browser.outside.mail import Mailbox, mail_server
from tests.contract.browser.outside.site import Site, serving

pytestmark = pytest.mark.timeout(60)


def hook(site: Site, path: str = "/hook") -> str:
    return f"json://ann:swordfish@127.0.0.1:{site.port}{path}"


PASSWORD = "swordfish"


def mail(box: Mailbox, to: str = "bo@example.org", password: str = PASSWORD) -> str:
    where = f"127.0.0.1:{box.port}"
    return f"mailto://{where}?user=ann&pass={password}&from=ann@example.org&to={to}&mode=insecure"


async def test_a_webhook_is_sent_the_message(run: Run, site: Site) -> None:
    result = await run("notify", to=hook(site), title="Hello", body="It works.")
    assert result == {"deliveries": [{"service": "JSON", "taken": True, "reason": None}]}
    sent = json.loads(site.received[0].body)
    assert (sent["title"], sent["message"]) == ("Hello", "It works.")
    assert site.received[0].headers["authorization"].startswith("Basic ")


async def test_a_mail_server_is_sent_the_message_as_text_or_html() -> None:
    async with mail_server() as box:
        run = steps(f"127.0.0.1:{box.port}")
        result = await run("notify", to=mail(box), title="Brief", body="# News", format="markdown")
        assert result["deliveries"] == [{"service": "E-Mail", "taken": True, "reason": None}]
        [(recipients, message)] = box.messages
        assert recipients == ["bo@example.org"]
        assert message["subject"] == "Brief"
        assert "<h1>News</h1>" in str(message)


async def test_each_address_says_whether_it_took_the_message(run: Run, site: Site) -> None:
    with serving() as other:
        others = [f"json://127.0.0.1:{other.port}", "syslog://", "nonsense://x", "no address"]
        result = await run("notify", to=[hook(site), *others], body="x")
        deliveries = result["deliveries"]
        assert [each["taken"] for each in deliveries] == [True, False, False, False, False]
        assert "loopback" in deliveries[1]["reason"]
        assert "HTTP or mail" in deliveries[2]["reason"]
        assert not other.received


async def test_nothing_taken_is_an_error_that_says_whether_to_try_again(site: Site) -> None:
    async with mail_server() as box:
        run = steps(f"127.0.0.1:{site.port}, 127.0.0.1:{box.port}")
        with pytest.raises(RequestFailed, match="451"):
            await run("notify", to=mail(box, "later@example.org"), body="x")
        for url in (mail(box, "nobody@example.org"), mail(box, password="wrong")):
            with pytest.raises(RequestRefused, match="mail server answered 5"):
                await run("notify", to=url, body="x")
    with pytest.raises(RequestFailed, match="does not answer"):
        await run("notify", to=mail(box), body="x")
    for status, error in ((503, RequestFailed), (404, RequestRefused)):
        site.status = status
        with pytest.raises(error, match=f"answered {status}"):
            await run("notify", to=hook(site), body="x")


async def test_a_forbidden_address_is_not_connected_to() -> None:
    run = steps("")
    with serving() as site:
        async with mail_server() as box:
            for host in ("127.0.0.1", "localhost", "2130706433"):
                for url in (hook(site), mail(box)):
                    with pytest.raises(BlockedAddress, match="loopback"):
                        await run("notify", to=url.replace("127.0.0.1", host), body="x")
            assert not site.received
            assert not box.hears


async def test_a_key_with_domains_keeps_to_them(site: Site) -> None:
    new = NewKey(name="b", scopes=("browser:outside",), allow_domains=("example.com",))
    with pytest.raises(BlockedAddress, match="allow list of this API key"):
        await steps(f"127.0.0.1:{site.port}", make_key(new)[1])("notify", to=hook(site), body="x")
    assert not site.received


async def test_a_redirect_of_a_webhook_is_checked_too(run: Run, site: Site) -> None:
    with serving() as other:
        site.redirect_to = f"{other.url}/json"
        with pytest.raises(BlockedAddress, match="loopback"):
            await run("notify", to=hook(site), body="x")
        assert site.received
        assert not other.received


async def test_passwords_are_in_no_result_error_or_log(
    run: Run, site: Site, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[Any] = []
    site.status = 500
    for url in (
        hook(site),
        "json://ann:swordfish@127.0.0.1:9/",
        "mailto://ann:swordfish@b.invalid",
    ):
        with pytest.raises((RequestFailed, RequestRefused, BlockedAddress)) as failed:
            await run("notify", to=url, body="x")
        told.append(failed.value.args)
    with pytest.raises(Invalid) as wrong:
        await run("notify", to=[hook(site), "swordfish" * 300], body="x")
    site.status = None
    told += [wrong.value.args, await run("notify", to=[hook(site), "foo://swordfish"], body="x")]
    captured = capfd.readouterr()
    assert "swordfish" not in f"{told} {caplog.text} {captured.out} {captured.err}"


@pytest.mark.parametrize("what", ["verify=no", "verify=false"])
async def test_a_certificate_is_always_verified(run: Run, site: Site, what: str) -> None:
    with pytest.raises(RequestRefused, match="verified"):
        await run("notify", to=f"jsons://127.0.0.1:{site.port}/?{what}", body="x")


async def test_a_service_reads_no_file_of_ours(run: Run, site: Site, tmp_path: Path) -> None:
    """FCM takes the path of a key file; what it would do with it needs Google's servers."""
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"type": "service_account", "private_key": "x"}))
    key.chmod(0o644)
    with pytest.raises((RequestFailed, RequestRefused)):
        await run("notify", to=f"fcm://project/token/?keyfile={key}&mode=oauth2", body="x")


async def test_a_caller_that_gives_up_leaves_no_process(site: Site) -> None:
    me = psutil.Process()
    before = set(me.children(recursive=True))
    site.delay_s = 15
    sending = asyncio.ensure_future(
        steps(f"127.0.0.1:{site.port}")("notify", to=hook(site), body="x")
    )
    ends = time.monotonic() + 20
    while not site.received:
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)
    sending.cancel()
    async with asyncio.timeout(2):  # before the site answers, or the service gives up
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert set(me.children(recursive=True)) <= before


async def test_a_process_of_ours_is_cut_off_by_the_kernel(tmp_path: Path) -> None:
    """Whatever code runs in it: `attempts` tries each way out."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        job = {"port": listening.getsockname()[1], "folder": str(tmp_path)}
        attempts = "tests.contract.browser.outside.attempts"
        outcome = await child.answer(attempts, job, LIMITS, 1 << 16)
    assert {name: what for name, what in outcome.items() if what != "refused"} == {}
    assert len(outcome) == 8
