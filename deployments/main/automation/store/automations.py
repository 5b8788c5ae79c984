"""`Automations` on Redis.

autobot:main:automations       a set of names
autobot:main:automations:writes  how many writes there were
autobot:main:automation:NAME   a hash: draft, revision, author, changed, enabled, version,
                               principal, write, since, reason, hook
autobot:main:noted:WHAT        a hash: value, count
autobot:main:version:ID        a version's document
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import redis.asyncio

from autobot.contracts.automations import MOST_AUTOMATIONS, Kept, Noted, Stale, missing, too_many
from deployments.main.automation.store.connection import PREFIX, translated

NAMES = f"{PREFIX}automations"

COMMON = """
local call = redis.call
local NAMES = 'autobot:main:automations'
local key = 'autobot:main:automation:' .. ARGV[1]
local function clock()
    local t = call('TIME')
    return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function write(...)
    call('HSET', key, 'write', call('INCR', NAMES .. ':writes'), ...)
    return 'ok'
end
"""

# ARGV: name, draft, author, revision or '', most
SAVE = """
local have = call('HMGET', key, 'revision', 'draft')
if have[2] == ARGV[2] then return 'ok' end
if (have[1] or '') ~= ARGV[4] then return 'stale' end
if not have[1] and call('SCARD', NAMES) >= tonumber(ARGV[5]) then return 'full' end
call('SADD', NAMES, ARGV[1])
return write('draft', ARGV[2], 'author', ARGV[3], 'revision', (have[1] or 0) + 1,
             'changed', clock())
"""

# ARGV: name, revision, version, document, principal
PUBLISH = """
local have = call('HGET', key, 'revision')
if not have then return 'missing' end
if have ~= ARGV[2] then return 'stale' end
call('SET', 'autobot:main:version:' .. ARGV[3], ARGV[4])
return write('version', ARGV[3], 'principal', ARGV[5], 'enabled', 1, 'since', clock(),
             'reason', '')
"""

# ARGV: name, 0 or 1, reason
ENABLE = """
if call('EXISTS', key) == 0 then return 'missing' end
return write('enabled', ARGV[2], 'since', clock(), 'reason', ARGV[3])
"""

# ARGV: name
DELETE = """
call('SREM', NAMES, ARGV[1])
call('UNLINK', key)
return tostring(call('INCR', NAMES .. ':writes'))
"""

# ARGV: name
HOOK = """
if call('EXISTS', key) == 0 then return 'missing' end
return write('hook', (call('HGET', key, 'hook') or 1) + 1)
"""

# ARGV: what, count, value
NOTE = """
local noted = 'autobot:main:noted:' .. ARGV[1]
if (call('HGET', noted, 'count') or '0') ~= ARGV[2] then return 'other' end
call('HSET', noted, 'value', ARGV[3], 'count', ARGV[2] + 1)
return 'ok'
"""


class RedisAutomations:
    """Each call is one script or one command."""

    def __init__(self, client: "redis.asyncio.Redis") -> None:
        self._redis = client
        scripts = {
            "save": SAVE,
            "publish": PUBLISH,
            "enable": ENABLE,
            "delete": DELETE,
            "hook": HOOK,
            "note": NOTE,
        }
        self._scripts = {
            name: client.register_script(COMMON + body) for name, body in scripts.items()
        }

    async def all(self) -> Sequence[Kept]:
        with translated():
            names: Any = await self._redis.smembers(NAMES)  # pyright: ignore[reportGeneralTypeIssues]
            async with self._redis.pipeline(transaction=False) as pipeline:
                for name in sorted(names):
                    pipeline.hgetall(_key(name.decode()))
                found = await pipeline.execute()
        pairs = zip(sorted(names), found, strict=True)
        return [_kept(name.decode(), fields) for name, fields in pairs if fields]

    async def get(self, name: str) -> Kept:
        with translated():
            fields: Any = await self._redis.hgetall(_key(name))  # pyright: ignore[reportGeneralTypeIssues]
        if not fields:
            raise missing(name)
        return _kept(name, fields)

    async def save(self, name: str, draft: str, author: str, revision: int | None) -> Kept:
        before = "" if revision is None else revision
        word = await self._word("save", name, draft, author, before, MOST_AUTOMATIONS)
        return await self._answer(word, name)

    async def publish(
        self, name: str, revision: int, version: str, document: str, principal: str
    ) -> Kept:
        word = await self._word("publish", name, revision, version, document, principal)
        return await self._answer(word, name)

    async def enable(self, name: str, enabled: bool, reason: str = "") -> Kept:
        return await self._answer(await self._word("enable", name, int(enabled), reason), name)

    async def delete(self, name: str) -> Kept:
        gone = await self.get(name)
        return replace(gone, write=int(await self._word("delete", name)))

    async def new_hook(self, name: str) -> Kept:
        return await self._answer(await self._word("hook", name), name)

    async def document(self, version: str) -> str | None:
        with translated():
            text: Any = await self._redis.get(f"{PREFIX}version:{version}")
        return None if text is None else text.decode()

    async def noted(self, what: str) -> Noted:
        with translated():
            found: Any = await self._redis.hmget(f"{PREFIX}noted:{what}", "value", "count")  # pyright: ignore[reportGeneralTypeIssues]
        value, count = found
        return Noted(value.decode(), int(count)) if value is not None else Noted()

    async def note(self, what: str, count: int, value: str) -> None:
        await self._word("note", what, count, value)

    async def _word(self, script: str, *args: Any) -> str:
        with translated():
            return (await self._scripts[script](args=args)).decode()

    async def _answer(self, word: str, name: str) -> Kept:
        if word == "full":
            raise too_many()
        if word == "missing":
            raise missing(name)
        if word == "stale":
            raise Stale(None, await self._current(name))
        return await self.get(name)

    async def _current(self, name: str) -> Kept | None:
        with translated():
            fields: Any = await self._redis.hgetall(_key(name))  # pyright: ignore[reportGeneralTypeIssues]
        return _kept(name, fields) if fields else None


def _key(name: str) -> str:
    return f"{PREFIX}automation:{name}"


def _kept(name: str, fields: Mapping[bytes, bytes]) -> Kept:
    text = {key.decode(): value.decode() for key, value in fields.items()}
    return Kept(
        name=name,
        draft=text["draft"],
        revision=int(text["revision"]),
        author=text["author"],
        changed=int(text["changed"]),
        enabled=text.get("enabled") == "1",
        version=text.get("version"),
        principal=text.get("principal"),
        write=int(text.get("write", 0)),
        since=int(text.get("since", 0)),
        reason=text.get("reason", ""),
        hook=int(text.get("hook", 1)),
    )
