"""`notify`: a message by any service of Apprise that sends by HTTP or mail."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, model_validator

from autobot.concurrency import ConcurrencyLimiter
from autobot.contracts.tools import ToolCall
from autobot.errors import AutoBotError, BlockedAddress
from autobot.sandbox import Limits
from deployments.browser.egress.connector import Connector
from deployments.browser.outside import child
from deployments.browser.outside.errors import RequestFailed, RequestRefused
from deployments.browser.outside.notify.schemas import Deliveries, Delivery, Notification
from deployments.browser.pages.api import domains_of_key

PROCESS = "deployments.browser.outside.notify.process"
LIMITS = Limits(memory=512 << 20, cpu_s=30, wall_s=110)
MOST_BYTES = 1 << 16
AT_ONCE, EACH = 4, 3
WORST: Mapping[str, Callable[[str], AutoBotError]] = {
    # Of those that are all refused, the first in this order is told.
    "failed": RequestFailed,
    "blocked": BlockedAddress,
    "refused": RequestRefused,
}


class _Outcome(Delivery):
    kind: Literal["failed", "blocked", "refused", ""] = ""

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if not self.taken and not self.kind:
            raise ValueError("it was not taken for no reason")
        return self


class _Outcomes(BaseModel):
    deliveries: list[_Outcome]


class Notifier:
    """Sends messages for steps; each in a process of its own that has no network but ours."""

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._limiter = ConcurrencyLimiter(
            AT_ONCE, 64, limit_each=EACH, waiting_each=48, what="notifications"
        )

    async def notify(self, given: Notification, call: ToolCall) -> Deliveries:
        """Send it. One address that takes it is enough: to try again would send to it twice.

        When none does, raises `RequestFailed` where another attempt makes sense, else
        `BlockedAddress` or `RequestRefused`; `Busy` when too many are under way.
        """
        job = given.model_dump(include={"title", "body", "format"}) | {"to": given.urls}
        connector = self._connector.within(domains_of_key(call.caller))
        async with self._limiter.slot(call.caller.id):
            try:
                said = await child.answer(PROCESS, job, LIMITS, MOST_BYTES, connector.connect)
                return _read(said, len(given.urls))
            except (child.Lost, ValueError) as error:
                raise RequestFailed("The process that sends messages ended.") from error


def _read(said: Mapping[str, Any], addresses: int) -> Deliveries:
    """Check what the process says; raises what `Notifier.notify` does when none took it."""
    outcomes = _Outcomes.model_validate(said).deliveries
    if len(outcomes) != addresses:
        raise ValueError("not one for each address")
    if any(each.taken for each in outcomes):
        return Deliveries(
            deliveries=[Delivery(**each.model_dump(exclude={"kind"})) for each in outcomes]
        )
    detail = " ".join(f"{each.service}: {each.reason}" for each in outcomes)[:1000]
    kinds = {each.kind for each in outcomes}
    raise WORST[next(kind for kind in WORST if kind in kinds)](detail)
