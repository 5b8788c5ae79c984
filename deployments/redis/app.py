"""Room redis: what the platform keeps, and the only way in for rooms that may not reach Redis."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from ray import serve

from autobot.keys import RECORDS, KeyRecord
from autobot.serving.room import Room

ProfileCall = Literal["take", "renew", "save", "release", "list", "delete"]
ResponseCall = Literal["put", "get", "delete"]


@serve.deployment
class Redis(Room):
    """Called by handle only; Redis Stack itself answers on the room's port."""

    room = "redis"

    def __init__(self) -> None:
        super().__init__()
        from deployments.redis.driver import RedisStore

        password = (self.settings.secrets_dir / "redis" / "redis").read_text().strip()
        # Redis lives on this very node, whatever address the other VMs use for it.
        port, data = self.settings.redis_port, self.settings.data_dir / "redis"
        self.store = RedisStore("127.0.0.1", port, "redis", password, data)
        self._seeded = False

    async def facts(self) -> dict[str, Any]:
        return await self.store.facts()

    async def key_records(self) -> list[dict[str, Any]]:
        await self._seed()
        return [record.model_dump() for record in await self.store.key_records()]

    async def add_key(self, record: KeyRecord) -> None:
        await self._seed()
        await self.store.add_key(record)

    async def revoke_key(self, key_id: str) -> KeyRecord:
        return await self.store.revoke_key(key_id)

    async def snapshot(self) -> bytes:
        return await self.store.snapshot()

    async def profiles(self, method: ProfileCall, *arguments: Any) -> Any:
        """A call of `Profiles` for room browser, which has no Redis user."""
        profiles = self.store.profiles
        calls: dict[ProfileCall, Callable[..., Awaitable[Any]]] = {
            "take": profiles.take,
            "renew": profiles.renew,
            "save": profiles.save,
            "release": profiles.release,
            "list": profiles.list,
            "delete": profiles.delete,
        }
        return await calls[method](*arguments)

    async def responses(self, method: ResponseCall, *arguments: str) -> Any:
        """A call of `Responses` for room llm, whose replicas on all its VMs share them."""
        responses = self.store.responses
        calls: dict[ResponseCall, Callable[..., Awaitable[Any]]] = {
            "put": responses.put,
            "get": responses.get,
            "delete": responses.delete,
        }
        return await calls[method](*arguments)

    async def _seed(self) -> None:
        """Import the first keys, of which set-up left only the hashes on this node."""
        file = self.settings.secrets_dir / "seed_keys.json"
        if not self._seeded and file.exists():
            await self.store.seed_keys(RECORDS.validate_json(file.read_bytes()))
        self._seeded = True


app = Redis.bind()
