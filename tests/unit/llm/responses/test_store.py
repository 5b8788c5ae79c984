"""Stored responses over room redis' contract: given back whole, to their owner, or refused."""

import pytest

from autobot.contracts.responses import MOST_CHARACTERS, FakeResponses
from autobot.errors import Conflict, NotFound, TooLarge
from deployments.llm.responses.store import ResponseStore, Stored


@pytest.fixture
def store() -> ResponseStore:
    return ResponseStore(FakeResponses({"me", "you"}))


def stored(name: str, content: str = "é") -> Stored:
    return Stored([{"role": "user", "content": content}], {"id": name, "output": []})


async def test_response_is_given_back_to_its_owner_only(store: ResponseStore) -> None:
    await store.put("me", stored("resp_1"))
    assert await store.get("me", "resp_1") == stored("resp_1")
    for owner, name in (("you", "resp_1"), ("me", "resp_2")):
        with pytest.raises(NotFound):
            await store.get(owner, name)
        with pytest.raises(NotFound):
            await store.delete(owner, name)
    await store.delete("me", "resp_1")
    with pytest.raises(NotFound):
        await store.get("me", "resp_1")


async def test_what_cannot_be_kept_is_refused_with_the_reason(store: ResponseStore) -> None:
    with pytest.raises(TooLarge, match="store: false"):
        await store.put("me", stored("resp_1", "x" * MOST_CHARACTERS))
    with pytest.raises(Conflict, match="revoked"):
        await store.put("nobody", stored("resp_1"))
