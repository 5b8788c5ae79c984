"""What becomes of a message that some took, and of one that nobody took."""

from typing import Any

import pytest

from autobot.contracts.tools import ToolCall
from autobot.errors import AutoBotError, BlockedAddress
from autobot.keys import NewKey, make_key
from deployments.browser.egress.connector import Connector
from deployments.browser.egress.policy import Policy
from deployments.browser.outside import child
from deployments.browser.outside.errors import RequestFailed, RequestRefused
from deployments.browser.outside.notify.schemas import Deliveries, Notification
from deployments.browser.outside.notify.service import Notifier

CALL = ToolCall("notify", {}, make_key(NewKey(name="a", scopes=("browser:outside",)))[1], 30)


async def notified(monkeypatch: pytest.MonkeyPatch, *said: Any) -> Deliveries:
    """What `Notifier` makes of what its process says; an exception is raised by the process."""

    async def answer(*given: Any) -> dict[str, Any]:
        if isinstance(said[0], Exception):
            raise said[0]
        return {"deliveries": list(said)}

    monkeypatch.setattr(child, "answer", answer)
    to = [f"json://{n}.example" for n in range(len(said))]
    return await Notifier(Connector(Policy())).notify(Notification(to=to, body="x"), CALL)


def refused(kind: str) -> dict[str, Any]:
    return {"service": "JSON", "taken": False, "kind": kind, "reason": kind}


TAKEN = {"service": "JSON", "taken": True}


async def test_one_that_takes_it_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    result = await notified(monkeypatch, refused("failed"), TAKEN, refused("blocked"))
    assert [each.taken for each in result.deliveries] == [False, True, False]


@pytest.mark.parametrize(
    ("kinds", "error"),
    [
        (["failed"], RequestFailed),
        (["blocked"], BlockedAddress),
        (["refused"], RequestRefused),
        (["refused", "failed"], RequestFailed),
        (["refused", "blocked"], BlockedAddress),
    ],
)
async def test_nobody_is_an_error_by_whether_another_attempt_makes_sense(
    monkeypatch: pytest.MonkeyPatch, kinds: list[str], error: type[AutoBotError]
) -> None:
    with pytest.raises(error, match=f"JSON: {kinds[0]}"):
        await notified(monkeypatch, *map(refused, kinds))


@pytest.mark.parametrize(
    "said", [child.Lost(), {"service": "JSON"}, refused("odd"), refused(""), "text", None]
)
async def test_a_process_that_says_nonsense_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, said: Any
) -> None:
    with pytest.raises(RequestFailed, match="process"):
        await notified(monkeypatch, said)
