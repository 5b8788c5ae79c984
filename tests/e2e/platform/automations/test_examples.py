"""The examples of docs/examples, run with real rooms, a web site and a mail server."""

import base64
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest
from aiosmtpd.controller import Controller
from PIL import Image, ImageDraw, ImageFont

from autobot.backup import unpack
from autobot.platform.topology import CHECKOUT
from tests.e2e.platform.conftest import MAIL_PORT, SITE_PORT
from tests.platform import Platform

EXAMPLES = CHECKOUT / "docs" / "examples"
SITE = f"http://127.0.0.1:{SITE_PORT}"
MAIL = f"mailto://127.0.0.1:{MAIL_PORT}?from=a@example.org&to=b@example.org&mode=insecure"
WITHIN_S = 90


class Site(BaseHTTPRequestHandler):
    """Gives pages, and keeps what is posted."""

    posted: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self._answer(f"News of {self.path}: cats sleep a lot.".encode())

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        self.posted.append((self.path, self.rfile.read(length).decode()))
        self._answer(b"taken")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Mails:
    """A mail server's box."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.messages.append(message_from_bytes(envelope.content))
        return "250 taken"


@pytest.fixture(scope="module")
def mails() -> Iterator[Mails]:
    box = Mails()
    controller = Controller(box, hostname="127.0.0.1", port=MAIL_PORT)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture(scope="module")
def site() -> Iterator[type[Site]]:
    server = ThreadingHTTPServer(("127.0.0.1", SITE_PORT), Site)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield Site
    server.shutdown()
    thread.join()
    server.server_close()


def secret(http: httpx.Client, name: str, value: str) -> None:
    assert http.put(f"/api/secrets/{name}", content=value.encode()).status_code < 300


def apply(platform: Platform, name: str) -> None:
    assert (
        f"{name} is on"
        in platform.run("automation", "apply", "--yes", str(EXAMPLES / f"{name}.yaml")).stdout
    )


def run(http: httpx.Client, name: str, **inputs: Any) -> dict[str, Any]:
    """Run it to its end."""
    started = http.post(f"/api/automations/{name}/runs?wait=60", json={"inputs": inputs})
    assert started.status_code == 202, started.text
    shown = http.get(f"/api/runs/{started.json()['id']}").json()
    assert shown["state"] == "succeeded", json.dumps(shown)
    return shown


def wait_for(holds: Any, why: str) -> None:
    ends = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < ends, why
        time.sleep(0.3)


def test_a_brief_of_three_pages_comes_by_mail(
    platform: Platform, site: type[Site], mails: Mails
) -> None:
    with platform.client() as http:
        secret(http, "MAIL", MAIL)
        apply(platform, "morning-brief")
        run(http, "morning-brief", pages=[f"{SITE}/{page}" for page in ("one", "two", "three")])
    assert [str(message["subject"]) for message in mails.messages] == ["Morning brief"]


def test_a_scanned_invoice_becomes_values(platform: Platform) -> None:
    picture = Image.new("RGB", (640, 240), "white")
    font = ImageFont.load_default(48)
    draw = ImageDraw.Draw(picture)
    draw.text((30, 30), "Invoice 4711", fill="black", font=font)
    draw.text((30, 130), "Total 99.50", fill="black", font=font)
    file = io.BytesIO()
    picture.save(file, "PNG")
    apply(platform, "invoice-to-row")
    with platform.client() as http:
        shown = run(http, "invoice-to-row", file=base64.b64encode(file.getvalue()).decode())
    assert shown["steps"]["row"]["output"]["result"] == {"number": "4711", "total": 99.5}


def test_a_form_is_sent_once_somebody_agreed(platform: Platform, site: type[Site]) -> None:
    apply(platform, "friday-form")
    with platform.client() as http:
        inputs = {"hours": 38, "address": f"{SITE}/timesheet"}
        path = "/api/automations/friday-form/runs"
        started = http.post(path, json={"inputs": inputs}).json()["id"]
        wait_for(
            lambda: http.get(f"/api/runs/{started}").json()["state"] == "waiting", "no question"
        )
        assert not [path for path, _ in site.posted if path == "/timesheet"]
        platform.run("runs", "approve", started, "ok")
        wait_for(lambda: http.get(f"/api/runs/{started}").json()["state"] == "succeeded", "no end")
    assert ("/timesheet", "hours=38") in site.posted


def test_a_nightly_backup_is_one_that_restore_reads(platform: Platform) -> None:
    apply(platform, "nightly-backup")
    with platform.client() as http:
        shown = run(http, "nightly-backup")
    (file,) = (platform.home / "backups").iterdir()
    assert shown["steps"]["backup"]["output"]["file"] == str(file)
    assert unpack(file)[1].startswith(b"REDIS")


def test_a_room_that_is_down_and_comes_back_is_told(platform: Platform, site: type[Site]) -> None:
    with platform.client() as http:
        secret(http, "PUSH", f"json://127.0.0.1:{SITE_PORT}/push")
    apply(platform, "room-down")
    time.sleep(5)  # the platform has seen for long enough that the room is up
    replicas = platform.replicas()
    stopped = [pid for app, pids in replicas.items() if app.startswith("npu") for pid in pids]

    def told() -> list[str]:
        return [json.loads(body)["message"] for path, body in site.posted if path == "/push"]

    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: any("npu is down" in text for text in told()), "nobody was told")
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: any("npu is up again" in text for text in told()), str(told()))
    with platform.client() as http:
        assert http.delete("/api/automations/room-down").status_code == 204
