"""A backup has no sealed secret, and everything else."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import redis

from autobot.backup import pack, restore, unpack
from autobot.platform.secrets import SEALING_KEY
from deployments.main.automation.store.connection import connect
from deployments.main.secrets.driver import RedisSecrets
from deployments.main.secrets.sealing import Seal
from deployments.redis.backup import driver
from tests.contract.redis.conftest import Server


@pytest_asyncio.fixture
async def secrets(server: Server) -> AsyncIterator[RedisSecrets]:
    password = server.secrets.read("redis/main")
    client = connect("127.0.0.1", server.settings.redis_port, "main", password)
    yield RedisSecrets(client, Seal(server.settings.secrets_dir / SEALING_KEY))
    await client.aclose()


def sealed_in(server: Server) -> list[bytes]:
    operator = redis.Redis(
        port=server.settings.redis_port,
        username="operator",
        password=server.secrets.read("redis/operator"),
    )
    return [value for key in operator.keys("autobot:main:secret:*") if (value := operator.get(key))]


async def test_after_a_restore_every_secret_is_to_be_set_again_and_the_rest_is_there(
    server: Server, secrets: RedisSecrets
) -> None:
    values = {f"S{number}": f"value-{number}" * 3_000**number for number in range(2)}
    values["SHORT"] = "1234"
    for name, value in values.items():
        await secrets.set(name, value, "me")
    operator = server.client("operator")
    for number in range(200):
        operator.hset("autobot:main:automation:job", f"field-{number}", "text " * 50)
    operator.xadd("autobot:main:run:r:log", {"b": "entry"}, id="1-0")
    sealed = sealed_in(server)
    assert len(sealed) == len(values)

    store = server.store()
    snapshot = await store.backup.snapshot()
    await store.close()
    assert not [value for value in sealed if value in snapshot or value[:40] in snapshot]

    file = server.settings.home / "backup.tar.gz"
    file.write_bytes(pack(snapshot, sorted(values)))
    assert unpack(file)[0].secrets == ("S0", "S1", "SHORT")
    server.kill()
    restore(server.settings, file, force=True)
    server.start()
    await secrets._redis.connection_pool.disconnect()  # those to the server that is gone
    operator = server.client("operator")
    assert operator.hlen("autobot:main:automation:job") == 200
    assert operator.xlen("autobot:main:run:r:log") == 1
    listed = await secrets.all()
    assert [(one.name, one.by, one.readable) for one in listed] == [
        (name, "me", False) for name in sorted(values)
    ]
    await secrets.set("SHORT", "5678", "me")
    assert (await secrets.open(values)).values == {"SHORT": "5678"}


async def test_a_backup_without_secrets_is_redis_own_file(server: Server) -> None:
    server.client("operator").set("autobot:main:x", "y")
    store = server.store()
    snapshot = await store.backup.snapshot()
    await store.close()
    assert snapshot == (server.settings.data_dir / "redis" / "dump.rdb").read_bytes()


async def test_secrets_that_change_while_it_is_taken_are_not_in_it(
    server: Server, secrets: RedisSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is set before Redis saves and removed before anybody looks again."""
    store = server.store()
    save, caught = store.backup._save, list[bytes]()

    async def busy() -> bytes:
        if not caught:
            await secrets.set("BRIEF", "brief-value", "me")
            caught.extend(sealed_in(server))
            snapshot = await save()
            assert caught[0] in snapshot
            await secrets.remove("BRIEF")
            return snapshot
        return await save()

    monkeypatch.setattr(store.backup, "_save", busy)
    snapshot = await store.backup.snapshot()
    await store.close()
    assert caught
    assert caught[0] not in snapshot


async def test_one_that_never_rests_is_unavailable(
    server: Server, secrets: RedisSecrets, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = server.store()
    save, saves = store.backup._save, list[int]()

    async def busy() -> bytes:
        saves.append(1)
        await secrets.set("BUSY", f"value-{len(saves)}", "me")
        return await save()

    monkeypatch.setattr(store.backup, "_save", busy)
    with pytest.raises(driver.Unavailable, match="try again"):
        await store.backup.snapshot()
    assert len(saves) == driver.TRIES
    await store.close()
