"""A store of secrets: the fake, and Redis under room main's own user with the key in a file."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from autobot.contracts.secrets import (
    LONGEST,
    MOST_SECRETS,
    FakeSecrets,
    SecretMissing,
    Secrets,
)
from autobot.errors import Conflict, Invalid, Unavailable
from autobot.platform.secrets import SEALING_KEY
from deployments.main.automation.store.connection import connect
from deployments.main.secrets.driver import RedisSecrets
from deployments.main.secrets.sealing import Seal
from tests.contract.redis.conftest import Server


@dataclass
class Kept:
    """A store; ``change_key`` gives the platform another key."""

    secrets: Secrets
    change_key: Callable[[], None]


def key_file(server: Server) -> Path:
    return server.settings.secrets_dir / SEALING_KEY


def sealing_with(server: Server, file: Path) -> RedisSecrets:
    """Room main's own user on that server."""
    password = server.secrets.read("redis/main")
    client = connect("127.0.0.1", server.settings.redis_port, "main", password)
    return RedisSecrets(client, Seal(file))


@pytest_asyncio.fixture(params=["fake", "redis"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    if request.param == "fake":
        fake = FakeSecrets()

        def change() -> None:
            fake.key = "another"

        yield Kept(fake, change)
        return
    server: Server = request.getfixturevalue("server")
    driver = sealing_with(server, key_file(server))
    yield Kept(driver, lambda: _write(key_file(server), "ab" * 32))
    await driver._redis.aclose()


def _write(file: Path, text: str) -> None:
    file.write_text(text)


async def test_what_is_set_is_listed_without_its_value_and_opened_with_it(kept: Kept) -> None:
    before = await kept.secrets.set("TOKEN", "a-value", "key-1")
    after = await kept.secrets.set("TOKEN", "another-value", "key-2")
    await kept.secrets.set("A_2", "third", "key-1")
    listed = await kept.secrets.all()
    assert [(one.name, one.by, one.readable) for one in listed] == [
        ("A_2", "key-1", True),
        ("TOKEN", "key-2", True),
    ]
    assert listed[1] == after
    assert after.created == before.created <= after.changed
    assert "value" not in repr(listed)
    opened = await kept.secrets.open(["TOKEN", "A_2", "NONE"])
    assert opened.values == {"TOKEN": "another-value", "A_2": "third"}
    assert (opened.missing, opened.unreadable) == ({"NONE"}, set())
    assert (await kept.secrets.open([])).values == {}


async def test_what_is_removed_is_gone(kept: Kept) -> None:
    await kept.secrets.set("TOKEN", "a-value", "me")
    await kept.secrets.remove("TOKEN")
    assert await kept.secrets.all() == []
    assert (await kept.secrets.open(["TOKEN"])).missing == {"TOKEN"}
    with pytest.raises(SecretMissing, match="'TOKEN'"):
        await kept.secrets.remove("TOKEN")


@pytest.mark.parametrize(
    "value", ["nul\0in it", "two\nlines\n", "Jēkabpils 🔑", "ü" * (LONGEST // 2), " 1234 "]
)
async def test_a_value_is_any_text_and_comes_back_as_it_was(kept: Kept, value: str) -> None:
    await kept.secrets.set("TOKEN", value, "me")
    assert (await kept.secrets.open(["TOKEN"])).values == {"TOKEN": value}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "a-value") for name in ("", "token", "1A", "A-B", "A" * 64, "A B", "_A", "Ä")),
        *(("A", value) for value in ("", "abc", "a\n\n\n\n\n", "x" * (LONGEST + 1), "abcd\ud83d")),
    ],
)
async def test_a_wrong_name_or_value_is_refused_and_not_repeated(
    kept: Kept, name: str, value: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await kept.secrets.set(name, value, "me")
    assert len(value) < 5 or value not in refused.value.detail
    assert await kept.secrets.all() == []


async def test_there_is_a_most_and_one_that_is_there_can_still_be_set(kept: Kept) -> None:
    for number in range(MOST_SECRETS):
        await kept.secrets.set(f"S{number}", "a-value", "me")
    with pytest.raises(Conflict, match=str(MOST_SECRETS)):
        await kept.secrets.set("ONE_MORE", "a-value", "me")
    await kept.secrets.set("S7", "changed", "me")
    assert (await kept.secrets.open(["S7"])).values == {"S7": "changed"}


async def test_under_another_key_each_is_listed_as_to_be_set_again(kept: Kept) -> None:
    await kept.secrets.set("TOKEN", "a-value", "me")
    await kept.secrets.set("OTHER", "b-value", "me")
    kept.change_key()
    assert [(one.name, one.readable) for one in await kept.secrets.all()] == [
        ("OTHER", False),
        ("TOKEN", False),
    ]
    opened = await kept.secrets.open(["TOKEN", "NONE"])
    assert (opened.values, opened.missing, opened.unreadable) == ({}, {"NONE"}, {"TOKEN"})
    await kept.secrets.set("TOKEN", "set-again", "me")
    assert (await kept.secrets.open(["TOKEN"])).values == {"TOKEN": "set-again"}


# On Redis only.


async def test_redis_has_what_is_sealed_each_time_anew_and_for_one_name_only(
    server: Server,
) -> None:
    secrets = sealing_with(server, key_file(server))
    raw = secrets._redis
    await secrets.set("TOKEN", "hunter2-hunter2", "me")
    first = await raw.get("autobot:main:secret:TOKEN")
    await secrets.set("TOKEN", "hunter2-hunter2", "me")
    second = await raw.get("autobot:main:secret:TOKEN")
    assert first is not None
    assert second is not None
    assert b"hunter2" not in first + second
    assert first != second, "a nonce is never used twice"
    await secrets.set("OTHER", "other-value", "me")
    await raw.set("autobot:main:secret:OTHER", second)
    opened = await secrets.open(["TOKEN", "OTHER"])
    assert opened.values == {"TOKEN": "hunter2-hunter2"}
    assert opened.unreadable == {"OTHER"}, "it was sealed for another name"
    await raw.set("autobot:main:secret:TOKEN", second[:-1] + bytes([second[-1] ^ 1]))
    assert (await secrets.open(["TOKEN"])).unreadable == {"TOKEN"}
    await raw.aclose()


@pytest.mark.parametrize("content", [None, "", "not hexadecimal", "abcd", "ab" * 31])
async def test_without_a_key_nothing_crashes_and_what_is_missing_is_said(
    server: Server, content: str | None
) -> None:
    secrets = sealing_with(server, key_file(server))
    await secrets.set("TOKEN", "a-value", "me")
    key = key_file(server).read_text()
    if content is None:
        key_file(server).unlink()
    else:
        key_file(server).write_text(content)
    (listed,) = await secrets.all()
    assert not listed.readable
    assert (await secrets.open(["TOKEN"])).unreadable == {"TOKEN"}
    with pytest.raises(Unavailable, match=SEALING_KEY):
        await secrets.set("TOKEN", "b-value", "me")
    key_file(server).write_text(key)
    assert (await secrets.open(["TOKEN"])).values == {"TOKEN": "a-value"}, "no restart is needed"
    await secrets._redis.aclose()


async def test_a_redis_that_is_away_is_unavailable(server: Server) -> None:
    secrets = sealing_with(server, key_file(server))
    await secrets.set("TOKEN", "a-value", "me")
    server.kill()
    for call in (secrets.all(), secrets.open(["TOKEN"]), secrets.set("TOKEN", "b-value", "me")):
        with pytest.raises(Unavailable) as error:
            await call
        assert "value" not in error.value.detail
    await secrets._redis.aclose()
