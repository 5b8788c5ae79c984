"""Secrets in runs: opened when a step begins, never written down."""

import asyncio
import logging
from typing import Any

import pytest

from autobot.automation.runs.journal import Failed, Started, Waiting
from autobot.automation.runs.retries import LONGEST_DETAIL
from autobot.automation.secrets.opened import RunSecrets
from autobot.contracts.secrets import FakeSecrets
from autobot.errors import Invalid, Unavailable
from tests.unit.automation.runs.lab import Lab
from tests.unit.automation.runs.tools import act, automation
from tests.unit.automation.runs.virtual import elapsed, run_virtually, virtually

VALUE = "canary-7f3a/ü"


def use(step: str, tool: str = "tell", **more: Any) -> dict[str, Any]:
    given = {"header": "Bearer ${{ secrets.TOKEN }}"} | more.pop("given", {})
    return {"id": step, "use": tool, "with": given} | more


def told(said: list[Any]) -> Any:
    """A tool that keeps what it is given, and says nothing."""

    async def tell(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        said.append(arguments)
        return {"ok": True}

    return tell


def raising(error: Exception) -> Any:
    async def fail(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        raise error

    return fail


def bodies(lab: Lab, run: str = "r") -> bytes:
    return b"\n".join(entry.body for entry in lab.runs.kept[run].log)


@virtually
async def test_a_step_gets_the_value_and_its_journal_does_not() -> None:
    said: list[Any] = []
    lab, store = Lab(tell=told(said)), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    given = {"n": "${{ inputs.n + 1 }}", "both": "${{ secrets['TOKEN'] + steps.a.done }}"}
    first = act("a", arguments={"output": {"done": "!"}})
    await lab.submit(automation(first, use("b", given=given), inputs=N), n=1)
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("succeeded")
    assert said == [{"header": f"Bearer {VALUE}", "n": 2, "both": f"{VALUE}!"}]
    assert b"canary" not in bodies(lab)


N = {"n": {"type": "integer"}}


@virtually
async def test_each_item_of_a_loop_and_each_attempt_gets_it() -> None:
    said: list[Any] = []
    lab, store = Lab(tell=told(said)), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    loop = use("a", for_each=[1, 2], given={"n": "${{ item }}"})
    await lab.submit(automation(loop))
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("succeeded")
    assert sorted(one["n"] for one in said) == [1, 2]
    assert {one["header"] for one in said} == {f"Bearer {VALUE}"}


@virtually
async def test_a_secret_that_is_removed_or_renamed_while_a_run_waits_fails_its_step_by_name() -> (
    None
):
    said: list[Any] = []
    lab, store = Lab(tell=told(said)), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    pause = {"id": "w", "use": "wait", "with": {"seconds": 3_600}}
    await lab.submit(automation(use("a"), pause, use("b")))
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("waiting")
    await store.remove("TOKEN")
    await store.set("TOKEN_2", VALUE, "me")
    await lab.reach("failed")
    assert len(said) == 1
    (failed,) = [entry for entry in lab.entries() if isinstance(entry, Failed)]
    assert failed.place == ("b", None)
    assert failed.error["type"] == "secret-missing"
    assert "'TOKEN'" in str(failed.error["detail"])
    assert failed.retry_at is None, "another attempt would find none either"


@virtually
async def test_one_that_this_platforms_key_does_not_open_fails_its_step_by_name() -> None:
    lab, store = Lab(tell=told([])), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    store.key = "another"
    await lab.submit(automation(use("a")))
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("failed", within=5)
    (failed,) = [entry for entry in lab.entries() if isinstance(entry, Failed)]
    assert failed.error["type"] == "secret-unreadable"
    assert "'TOKEN'" in str(failed.error["detail"])


@virtually
async def test_after_a_change_later_steps_get_the_new_value_and_both_are_masked() -> None:
    said: list[Any] = []

    async def echo(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        return {"seen": f"{VALUE} and new-value"}

    lab, store = Lab(tell=told(said), echo=echo), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    pause = {"id": "w", "use": "wait", "with": {"seconds": 3_600}}
    steps = use("a"), pause, use("b"), {"id": "c", "use": "echo"}
    await lab.submit(automation(*steps))
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("waiting")
    await store.set("TOKEN", "new-value", "me")
    await lab.reach("succeeded")
    assert [one["header"] for one in said] == [f"Bearer {VALUE}", "Bearer new-value"]
    assert lab.output("c") == {"seen": "*** and ***"}


@virtually
async def test_a_worker_that_takes_a_run_over_masks_what_the_one_before_used() -> None:
    async def echo(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        return VALUE

    lab, store = Lab(tell=told([]), echo=echo), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    steps = use("a"), act("slow", 20, on_unknown="retry"), {"id": "c", "use": "echo"}
    await lab.submit(automation(*steps))
    lab.start(secrets=RunSecrets(store.open))
    await asyncio.sleep(5)
    await lab.kill()
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("succeeded")
    assert lab.output("c") == "***"


@virtually
async def test_while_the_store_of_secrets_is_away_the_step_is_not_begun_and_not_failed() -> None:
    said: list[Any] = []
    lab, store = Lab(tell=told(said)), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    away_until = 40.0

    async def open_late(names: Any) -> Any:
        if opened and elapsed() < away_until:
            raise Unavailable
        opened.append(names)
        return await store.open(names)

    opened: list[Any] = []  # the first opening, when the run is claimed, succeeds
    await lab.submit(automation(use("a", retry={"attempts": 1})))
    lab.start(secrets=RunSecrets(open_late))
    await lab.reach("succeeded")
    assert elapsed() >= away_until
    assert len(said) == 1
    assert len([entry for entry in lab.entries() if isinstance(entry, Started)]) == 1


@virtually
async def test_a_store_that_stays_away_fails_the_attempt_as_not_done() -> None:
    lab, store = Lab(tell=told([])), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    calls: list[Any] = []

    async def gone(names: Any) -> Any:
        calls.append(names)
        if len(calls) == 1:
            return await store.open(names)
        raise Unavailable

    await lab.submit(automation(use("a", retry={"attempts": 1}, on_unknown="ask")))
    lab.start(secrets=RunSecrets(gone))
    await lab.reach("failed")
    (failed,) = [entry for entry in lab.entries() if isinstance(entry, Failed)]
    assert failed.error["type"] == "unavailable", "nobody is asked: nothing was sent"
    assert not [entry for entry in lab.entries() if isinstance(entry, Waiting)]


@virtually
async def test_an_error_is_masked_before_it_is_cut() -> None:
    value = "s" + "0123456789" * 100
    detail = "x" * (LONGEST_DETAIL - 500) + value
    lab, store = Lab(fail=raising(Invalid(detail))), FakeSecrets()
    await store.set("TOKEN", value, "me")
    await lab.submit(automation(use("a", "fail")))
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("failed", within=5)
    assert b"0123456789" not in bodies(lab)
    assert b"x***" in bodies(lab)


@virtually
async def test_a_value_that_an_expression_trips_over_is_masked_too() -> None:
    lab, store = Lab(tell=told([])), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    given = {"n": "${{ int(secrets.TOKEN) }}", "x": "${{ {'a': 1}[secrets.TOKEN] }}"}
    for number, (name, text) in enumerate(given.items()):
        run = f"r{number}"
        await lab.submit(automation({"id": "a", "use": "tell", "with": {name: text}}), run)
    lab.start(secrets=RunSecrets(store.open))
    for run in ("r0", "r1"):
        await lab.reach("failed", within=5, run=run)
        assert b"canary" not in bodies(lab, run)


def test_what_a_program_logs_of_a_step_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        lab, store = Lab(fail=raising(RuntimeError(f"it was {VALUE}"))), FakeSecrets()
        await store.set("TOKEN", VALUE, "me")
        await lab.submit(automation(use("a", "fail")))
        lab.start(secrets=RunSecrets(store.open))
        await lab.reach("failed")
        assert b"canary" not in bodies(lab)

    with caplog.at_level(logging.DEBUG):
        run_virtually(work())
    assert "a step failed unexpectedly" in caplog.text
    assert "RuntimeError: it was ***" in caplog.text
    assert "canary" not in caplog.text


@virtually
async def test_a_question_about_a_step_whose_time_was_over_does_not_tell_it() -> None:
    async def slow(arguments: Any, key: str, cancel: asyncio.Event) -> Any:
        await asyncio.sleep(100)

    lab, store = Lab(slow=slow), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    await lab.submit(automation(use("a", "slow", timeout=5, on_unknown="ask")))
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("waiting")
    assert b"canary" not in bodies(lab)


@virtually
async def test_a_document_that_came_past_the_checks_is_asked_about_without_its_secret() -> None:
    """Publishing refuses it; the journal must not depend on that."""
    lab, store = Lab(), FakeSecrets()
    await store.set("TOKEN", VALUE, "me")
    ask = {"id": "ok", "use": "approve", "with": {"message": "${{ secrets.TOKEN }}?"}}
    await lab.submit(automation(ask))
    lab.start(secrets=RunSecrets(store.open))
    await lab.reach("failed", within=5)
    assert b"canary" not in bodies(lab)
