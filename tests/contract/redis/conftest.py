"""A real Redis Stack of its own, with the platform's own configuration and users."""

import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
import redis

from autobot.errors import Unavailable
from autobot.platform import programs
from autobot.platform.secrets import Secrets, ensure_secrets
from autobot.settings import Settings
from deployments.redis.driver import RedisStore
from deployments.redis.store import FakeStore, Store
from tests import parts
from tests.platform import free_ports


class Server:
    """redis-server as a child of the test, to be killed and started again."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.secrets: Secrets = ensure_secrets(settings.secrets_dir)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = programs.redis(self.settings)
        programs.prepare_programs([program])
        self._process = subprocess.Popen(
            program.argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        client = self.client("operator")
        for _ in range(200):
            try:
                client.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.05)
        raise AssertionError("redis-server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def client(self, user: str) -> redis.Redis:
        password = self.secrets.read(f"redis/{user}")
        return redis.Redis(
            port=self.settings.redis_port,
            username=user,
            password=password,
            decode_responses=True,
            protocol=3,
        )

    @contextmanager
    def removals_fail(self) -> Iterator[None]:
        """Within, room redis may write, but not remove what it keeps beside hashes."""
        operator = self.client("operator")
        operator.execute_command("ACL", "SETUSER", "redis", "-unlink")
        yield
        operator.execute_command("ACL", "SETUSER", "redis", "+unlink")

    def store(self, first_keys: Path | None = None) -> RedisStore:
        settings = self.settings
        password = self.secrets.read("redis/redis")
        data = settings.data_dir / "redis"
        port = settings.redis_port
        return RedisStore("127.0.0.1", port, "redis", password, data, first_keys)


@pytest.fixture(scope="session")
def redis_stack() -> None:
    parts.path(parts.REDIS)


@pytest.fixture
def server(tmp_path: Path, redis_stack: None) -> Iterator[Server]:
    settings = Settings(home=tmp_path / "home", redis_port=free_ports(1)[0])
    settings.run_dir.mkdir(parents=True)
    made = Server(settings)
    made.start()
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture(params=["fake", "redis"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "fake":
        yield FakeStore()
        return
    made: RedisStore = request.getfixturevalue("server").store()
    yield made
    await made.close()


@pytest.fixture
def removals_fail(
    store: Store, request: pytest.FixtureRequest
) -> Callable[[], AbstractContextManager[None]]:
    """Return a context within which the store takes writes and removes no stored response."""
    if not isinstance(store, FakeStore):
        server: Server = request.getfixturevalue("server")
        return server.removals_fail

    @contextmanager
    def failing() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(store.responses, "forget", _unavailable)
            yield

    return failing


def _unavailable(owner: str) -> None:
    raise Unavailable(f"What {owner} stored cannot be removed.")
