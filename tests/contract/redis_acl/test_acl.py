"""A real Redis Stack enforces the users file: each room within its prefix, and no further."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import AuthenticationError, NoPermissionError

from autobot.errors import SetupError
from autobot.platform.programs import prepare_programs
from autobot.platform.programs import redis as redis_program
from autobot.platform.secrets import Secrets, ensure_secrets
from autobot.settings import Settings

ROOMS_WITH_A_USER = ("main", "frontend", "npu", "llm")
Connect = Any


@pytest.fixture
async def secrets(tmp_path: Path) -> Secrets:
    return ensure_secrets(tmp_path / "secrets")


@pytest.fixture
async def port(tmp_path: Path, secrets: Secrets, unused_tcp_port: int) -> AsyncIterator[int]:
    settings = Settings(home=tmp_path, redis_port=unused_tcp_port)
    try:
        program = redis_program(settings)
        prepare_programs([program])
    except SetupError as error:
        pytest.skip(error.detail)
    process = await asyncio.create_subprocess_exec(
        *program.argv, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield unused_tcp_port
    finally:
        process.terminate()
        await process.wait()


@pytest.fixture
async def connect(port: int, secrets: Secrets) -> AsyncIterator[Connect]:
    opened: list[redis.asyncio.Redis] = []

    async def connection(user: str) -> redis.asyncio.Redis:
        password = secrets.read(f"redis/{user}")
        made = redis.asyncio.Redis(port=port, username=user, password=password)
        opened.append(made)
        for _ in range(100):
            try:
                await made.ping()
                break
            except redis.exceptions.ConnectionError:
                await asyncio.sleep(0.1)
        return made

    yield connection
    for made in opened:
        await made.aclose()


async def test_nobody_enters_without_a_user(connect: Connect, port: int) -> None:
    await connect("main")
    stranger = redis.asyncio.Redis(port=port)
    with pytest.raises(AuthenticationError):
        await stranger.ping()
    guest = redis.asyncio.Redis(port=port, username="browser", password="anything")
    with pytest.raises(AuthenticationError):
        await guest.ping()
    await stranger.aclose()
    await guest.aclose()


@pytest.mark.parametrize("room", ROOMS_WITH_A_USER)
async def test_a_room_writes_within_its_prefix_only(connect: Connect, room: str) -> None:
    mine = await connect(room)
    await mine.set(f"autobot:{room}:note", "kept")
    assert await mine.get(f"autobot:{room}:note") == b"kept"
    other = "npu" if room != "npu" else "llm"
    for key in (f"autobot:{other}:note", "autobot:redis:keys", "anything"):
        with pytest.raises(NoPermissionError):
            await mine.get(key)
        with pytest.raises(NoPermissionError):
            await mine.set(key, "stolen")


async def test_a_script_sees_no_more_than_its_caller(connect: Connect) -> None:
    mine = await connect("main")
    assert await mine.eval("return redis.call('SET', KEYS[1], 1)", 1, "autobot:main:n") == b"OK"
    with pytest.raises(NoPermissionError):
        await mine.eval("return redis.call('GET', KEYS[1])", 1, "autobot:redis:keys")
    with pytest.raises(redis.exceptions.ResponseError):
        await mine.eval("return redis.call('GET', 'autobot:redis:keys')", 0)


@pytest.mark.parametrize(
    "command",
    [
        "KEYS *", "SCAN 0", "FLUSHALL", "CONFIG GET *", "ACL LIST", "SHUTDOWN",
        "MODULE LIST", "CLIENT LIST", "MONITOR", "FT._LIST", "FT.SEARCH all *", "SAVE",
        "REPLICAOF no one", "SWAPDB 0 0", "FUNCTION FLUSH", "CLIENT TRACKING on BCAST",
    ],
)  # fmt: skip
async def test_a_room_may_not_look_around_or_administer(connect: Connect, command: str) -> None:
    mine = await connect("main")
    with pytest.raises(NoPermissionError):
        await mine.execute_command(*command.split())


async def test_room_redis_searches_json_and_backs_up_but_does_not_administer(
    connect: Connect,
) -> None:
    keeper = await connect("redis")
    await keeper.execute_command(
        *[
            "FT.CREATE",
            "autobot:idx",
            "ON",
            "JSON",
            "PREFIX",
            "1",
            "autobot:doc:",
            "SCHEMA",
            "$.t",
            "AS",
            "t",
            "TEXT",
        ]
    )
    await keeper.execute_command("JSON.SET", "autobot:doc:1", "$", '{"t": "a green door"}')
    for _ in range(50):
        found = await keeper.execute_command("FT.SEARCH", "autobot:idx", "green")
        if "autobot:doc:1" in repr(found):
            break
        await asyncio.sleep(0.05)
    assert "autobot:doc:1" in repr(found)
    await keeper.xadd("autobot:events", {"what": "test"})
    await keeper.bgsave()
    for command in ("CONFIG GET *", "ACL LIST", "FLUSHALL", "SHUTDOWN"):
        with pytest.raises(NoPermissionError):
            await keeper.execute_command(*command.split())
    with pytest.raises(NoPermissionError):
        await keeper.set("elsewhere", 1)


async def test_what_is_acknowledged_is_on_the_disk_and_nothing_is_evicted(
    connect: Connect,
) -> None:
    operator = await connect("operator")
    wanted = {
        "appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction",
    }  # fmt: skip
    told = {name: (await operator.config_get(name))[name] for name in wanted}
    assert told == wanted
    assert int((await operator.config_get("maxmemory"))["maxmemory"]) > 0


async def test_nobody_can_be_the_default_user_whose_rights_are_for_reading_the_log(
    port: int, connect: Connect
) -> None:
    await connect("operator")
    for password in (None, "", "default"):
        stranger = redis.asyncio.Redis(port=port, password=password)
        with pytest.raises(AuthenticationError):
            await stranger.set("autobot:redis:keys", "x")
        await stranger.aclose()
