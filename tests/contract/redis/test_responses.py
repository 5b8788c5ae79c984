"""Stored responses: each key's own, bounded, durable, gone with their key."""

import pytest

from autobot.contracts import responses
from autobot.keys import KeyRecord, NewKey, make_key
from deployments.redis.responses.driver import TEXT, RedisResponses
from deployments.redis.store import Store
from tests.contract.redis.conftest import Server


async def owner_in(store: Store) -> str:
    record: KeyRecord = make_key(NewKey(name="test", scopes=("llm",)))[1]
    await store.keys.add(record)
    return record.id


async def test_a_response_is_given_back_to_its_owner_only(store: Store) -> None:
    me, you = await owner_in(store), await owner_in(store)
    assert await store.responses.put(me, "resp_1", '{"é": 1}') == "ok"
    assert await store.responses.get(me, "resp_1") == '{"é": 1}'
    assert await store.responses.get(you, "resp_1") is None
    assert await store.responses.get(me, "resp_2") is None
    assert not await store.responses.delete(you, "resp_1")
    assert await store.responses.delete(me, "resp_1")
    assert not await store.responses.delete(me, "resp_1")
    assert await store.responses.get(me, "resp_1") is None


async def test_one_that_is_too_large_is_refused_and_nothing_is_kept(store: Store) -> None:
    me = await owner_in(store)
    assert await store.responses.put(me, "r", "x" * (responses.MOST_CHARACTERS + 1)) == "large"
    assert await store.responses.get(me, "r") is None


async def test_the_oldest_leave_when_there_are_too_many(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "MOST_RESPONSES", 3)
    if isinstance(store.responses, RedisResponses):
        monkeypatch.setattr(store.responses, "_most", 3)
    me = await owner_in(store)
    for number in range(5):
        await store.responses.put(me, f"resp_{number}", str(number))
    found = [await store.responses.get(me, f"resp_{number}") for number in range(5)]
    assert found == [None, None, "2", "3", "4"]


async def test_the_oldest_leave_when_all_together_are_too_large_and_never_the_last(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "MOST_TOGETHER", 100)
    if isinstance(store.responses, RedisResponses):
        monkeypatch.setattr(store.responses, "_most_together", 100)
    me, you = await owner_in(store), await owner_in(store)
    await store.responses.put(you, "resp_0", "y" * 90)
    for number in range(5):
        await store.responses.put(me, f"resp_{number}", str(number) * 40)
    found = [await store.responses.get(me, f"resp_{number}") for number in range(5)]
    assert found == [None, None, None, "3" * 40, "4" * 40]
    await store.responses.put(me, "resp_5", "x" * 500)
    assert await store.responses.get(me, "resp_5") == "x" * 500
    assert await store.responses.get(me, "resp_4") is None
    assert await store.responses.get(you, "resp_0") == "y" * 90


async def test_a_revoked_keys_responses_go_and_none_can_follow(store: Store) -> None:
    me = await owner_in(store)
    await store.responses.put(me, "resp_1", "x")
    await store.keys.revoke(me)
    assert await store.responses.get(me, "resp_1") is None
    assert await store.responses.put(me, "resp_2", "x") == "lost"
    assert await store.responses.get(me, "resp_2") is None


async def test_what_was_acknowledged_survives_a_killed_server_and_expires(server: Server) -> None:
    store = server.store()
    me = await owner_in(store)
    assert await store.responses.put(me, "resp_1", "kept") == "ok"
    server.kill()
    server.start()
    assert await store.responses.get(me, "resp_1") == "kept"
    left = server.client("redis").ttl(f"{TEXT}{me}:resp_1")
    assert responses.KEPT_S - 600 < left <= responses.KEPT_S
    await store.close()
