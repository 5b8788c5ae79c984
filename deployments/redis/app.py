"""Room redis: what the platform keeps, and the only way in for rooms that may not reach Redis."""

from typing import Any

from ray import serve

from autobot.contracts.backup import Backup
from autobot.contracts.keys import Keys
from autobot.contracts.profiles import Profiles
from autobot.contracts.responses import Responses
from autobot.serving.calls import serves
from autobot.serving.room import Room


@serve.deployment
@serves(Keys, Profiles, Responses, Backup)
class Redis(Room):
    """Called by handle only; Redis Stack itself answers on the room's port."""

    room = "redis"

    def __init__(self) -> None:
        super().__init__()
        from deployments.redis.driver import RedisStore

        secrets = self.settings.secrets_dir
        password = (secrets / "redis" / "redis").read_text().strip()
        # Redis lives on this very node, whatever address the other VMs use for it.
        port, data = self.settings.redis_port, self.settings.data_dir / "redis"
        first = secrets / "seed_keys.json"
        self.store = RedisStore("127.0.0.1", port, "redis", password, data, first)
        self.keys = self.store.keys
        self.profiles = self.store.profiles
        self.responses = self.store.responses
        self.backup = self.store.backup

    async def facts(self) -> dict[str, Any]:
        return await self.store.facts()


app = Redis.bind()
