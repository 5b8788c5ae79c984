"""`POST /hooks/{name}`: deliveries signed as Standard Webhooks has it; each starts one run."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from standardwebhooks.webhooks import Webhook as Signed
from standardwebhooks.webhooks import WebhookVerificationError

from autobot.automation.expressions import resolve
from autobot.automation.runs.journal import dumps
from autobot.automation.triggers import Webhook
from autobot.concurrency import ConcurrencyLimiter
from autobot.contracts.automations import Kept
from autobot.errors import BadRequest, Conflict, NotFound, TooLarge, TooSlow, Unauthenticated
from deployments.main.automation.api import Caller
from deployments.main.automation.schemas import HookSecret, StartedRun
from deployments.main.automation.starts import Starts, Trigger, run_name

LONGEST_DELIVERY = 256 << 10
"""Bytes: it is kept in the run's journal."""
LONGEST_ID = 200
LONGEST_NAME = 64
MOST_RUNNING, MOST_RUNNING_EACH = 32, 16
MOST_WAITING, MOST_WAITING_EACH = 512, 256
"""Deliveries that are signed, at once and of one hook; the next is to be sent again."""
MOST_READ, READ_WITHIN_S = 32, 10.0
"""Of strangers: until it is read nobody knows who has sent it."""


class HookSecrets:
    """The secret of each automation's hook.

    None is stored: each is computed from one key that does not leave room main, and from a number
    that is kept with the automation, so that a new number is a new secret.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def secret(self, name: str, number: int) -> str:
        """Return it as Standard Webhooks writes secrets."""
        digest = hmac.new(self._key, f"hook\n{name}\n{number}".encode(), hashlib.sha256).digest()
        return f"whsec_{base64.b64encode(digest).decode()}"

    def check(self, name: str, number: int, headers: Mapping[str, str], body: bytes) -> str:
        """Return the delivery's id. Raises `Unauthenticated` for one that was not signed with this
        secret within the last five minutes, and `BadRequest` for one that is not UTF-8."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            raise BadRequest("The delivery is not UTF-8.") from None
        try:
            Signed(self.secret(name, number)).verify(text, dict(headers), json_parse=False)
        except (WebhookVerificationError, ValueError) as error:
            raise Unauthenticated(f"The delivery is not signed as it must be: {error}") from None
        return headers["webhook-id"][:LONGEST_ID]


def hook_routes(starts: Starts, secrets: HookSecrets) -> APIRouter:
    """The route that takes deliveries, which needs no API key but a signature, and the one that
    makes a hook's secret."""
    router = APIRouter(tags=["automations"])
    reading = ConcurrencyLimiter(MOST_READ, MOST_WAITING, what="deliveries")
    running = ConcurrencyLimiter(
        MOST_RUNNING,
        MOST_WAITING,
        limit_each=MOST_RUNNING_EACH,
        waiting_each=MOST_WAITING_EACH,
        what="deliveries",
    )

    @router.post("/api/automations/{name}/hook", status_code=201)
    async def new_secret(name: str, caller: Caller) -> HookSecret:
        """Make a new secret for its webhook; the one before counts no more. It is shown this once.
        Senders sign with it as Standard Webhooks has it."""
        kept = await starts.automations.new_hook(name)
        return HookSecret(path=f"/hooks/{name}", secret=secrets.secret(name, kept.hook))

    @router.post("/hooks/{name}", status_code=202)
    async def deliver(name: str, request: Request) -> StartedRun:
        """Start a run with the delivery: `trigger.body` is its JSON, or its text. 202 means that
        the run is on the disk. The same `webhook-id` again is the same run. 429 and 503 are to be
        sent again, as Standard Webhooks has it."""
        async with reading.slot():
            kept, trigger = await _hook(starts, name)
            body = await _body(request)
        delivery = secrets.check(name, kept.hook, request.headers, body)
        started = Trigger(
            "webhook",
            at=round(time.time() * 1000),
            facts={"id": delivery, "body": _parsed(body)},
        )
        inputs = resolve(dict(trigger.inputs), {"trigger": started.values()})
        run = run_name(name, "webhook", delivery)
        async with running.slot(name):
            await starts.start(name, run, inputs, started)
        return StartedRun(id=run, state="queued")

    return router


async def _hook(starts: Starts, name: str) -> tuple[Kept, Webhook]:
    """The automation and its hook. One that has none, or is off, is not there for strangers."""
    missing = NotFound(f"There is no hook '{name[:64]}'.")
    if len(name) > LONGEST_NAME:
        raise missing
    try:
        kept, automation = await starts.on(name)
    except (NotFound, Conflict):
        raise missing from None
    if automation.triggers.webhook is None:
        raise missing
    return kept, automation.triggers.webhook


async def _body(request: Request) -> bytes:
    """The delivery as it was sent: what is signed are its bytes."""
    body = bytearray()
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            async for piece in request.stream():
                body += piece
                if len(body) > LONGEST_DELIVERY:
                    raise TooLarge(f"A delivery has at most {LONGEST_DELIVERY} bytes.")
    except TimeoutError:
        raise TooSlow(f"A delivery comes within {READ_WITHIN_S:g} s.") from None
    return bytes(body)


def _parsed(body: bytes) -> Any:
    try:
        value = json.loads(body)
        dumps(value)  # a journal has no number that is none
        return value
    except (ValueError, RecursionError):
        return body.decode()
