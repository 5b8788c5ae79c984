"""What a process knows of its secrets."""

import pytest

from autobot.automation.secrets import opened
from autobot.automation.secrets.mask import NOTHING
from autobot.automation.secrets.opened import RunSecrets
from autobot.contracts.secrets import FakeSecrets, Opened, SecretMissing, SecretUnreadable


async def test_the_values_are_those_of_now_and_the_mask_has_those_before_too() -> None:
    store = FakeSecrets()
    secrets = RunSecrets(store.open)
    await store.set("TOKEN", "first-value", "me")
    assert await secrets.values({"TOKEN"}) == {"TOKEN": "first-value"}
    await store.set("TOKEN", "second-value", "me")
    assert await secrets.values({"TOKEN"}) == {"TOKEN": "second-value"}
    assert secrets.mask({"TOKEN"}).text("first-value second-value") == "*** ***"
    await store.remove("TOKEN")
    await secrets.learn({"TOKEN"})
    assert secrets.mask({"TOKEN"}).text("second-value") == "***"


async def test_one_that_is_missing_or_unreadable_is_named() -> None:
    store = FakeSecrets()
    secrets = RunSecrets(store.open)
    await store.set("OLD", "old-value", "me")
    store.key = "second"
    await store.set("NEW", "new-value", "me")
    with pytest.raises(SecretMissing, match=r"'A', 'B'"):
        await secrets.values({"NEW", "B", "A"})
    with pytest.raises(SecretUnreadable, match="'OLD'"):
        await secrets.values({"NEW", "OLD"})
    assert secrets.mask({"NEW"}).text("new-value") == "***"


async def test_a_run_that_names_no_secret_is_not_masked() -> None:
    store = FakeSecrets()
    secrets = RunSecrets(store.open)
    await store.set("WORD", "hello", "me")
    await secrets.learn({"WORD"})
    assert secrets.mask(()) is NOTHING
    assert secrets.mask({"OTHER"}).text("hello") == "hello"


async def test_a_mask_is_made_once_for_the_same_values_and_few_are_kept() -> None:
    store = FakeSecrets()
    secrets = RunSecrets(store.open)
    for number in range(40):
        await store.set(f"S{number}", f"value-{number}", "me")
        await secrets.learn({f"S{number}"})
    assert secrets.mask({"S1"}) is secrets.mask({"S1"})
    for number in range(40):
        secrets.mask({f"S{number}"})
    assert len(secrets._masks) == opened.MOST_MASKS


async def test_what_is_remembered_has_a_bound_and_what_is_used_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opened, "MOST_SEEN", 3)
    store = FakeSecrets()
    secrets = RunSecrets(store.open)
    await store.set("USED", "used-value", "me")
    for number in range(10):
        await store.set("OTHER", f"other-{number}", "me")
        await secrets.learn({"USED", "OTHER"})
    assert secrets.mask({"USED"}).text("used-value") == "***"
    assert len(secrets._seen) == 3


def test_no_representation_shows_a_value() -> None:
    assert "hunter2" not in repr(Opened({"A": "hunter2"}))
