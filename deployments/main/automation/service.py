"""Automations as a person edits them: saved, published, turned on and off."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol

from autobot.automation.document import Automation
from autobot.automation.errors import InvalidAutomation
from autobot.automation.expressions import secrets_read
from autobot.automation.reading import Source, content_hash, dump, in_order, load
from autobot.automation.runs.waits import CALL, WAITS
from autobot.automation.schedule import next_fires
from autobot.automation.triggers import Schedule
from autobot.automation.validation import World, called, validate
from autobot.contracts.automations import MOST_AUTOMATIONS, Kept, Stale
from autobot.contracts.keys import Keys
from autobot.contracts.secrets import Secrets
from autobot.contracts.tools import ToolInfo
from autobot.errors import Forbidden, NotFound, Unavailable
from autobot.keys import KeyRecord, NewKey, make_key
from deployments.main.automation.starts import GOING, LAST, Starts

OFFERED = ("manual", "schedule", "webhook", "event", "mcp")
"""The triggers that start runs."""
OWN = WAITS | {CALL}
"""The tools that are no room's."""
KeysChanged = Callable[[], Awaitable[object]]


class Tools(Protocol):
    """The tools that steps use: see `ToolKinds`."""

    @property
    def infos(self) -> Mapping[str, ToolInfo]: ...
    @property
    def complete(self) -> bool: ...
    async def refresh(self) -> None: ...


class AutomationService:
    """Keeps automations, their API keys and their schedules."""

    def __init__(
        self,
        starts: Starts,
        keys: Keys,
        tools: Tools,
        keys_changed: KeysChanged,
        secrets: Secrets,
    ) -> None:
        """``keys_changed`` tells every replica."""
        self._starts = starts
        self.automations, self._runs = starts.automations, starts.runs
        self._keys, self._tools, self._secrets = keys, tools, secrets
        self._keys_changed = keys_changed

    # Documents.

    async def check(self, text: str, secrets: Collection[str] | None = None) -> Source:
        """Read a document whole; without names of ``secrets`` those it uses are not looked for.
        Raises `InvalidAutomation` with every mistake.

        A tool that is not known may be new. While a room has not said yet what it has, no name of a
        tool is a mistake; `publish` waits for it.
        """
        source = load(text)
        if uses(source.automation) - self._tools.infos.keys():
            await self._tools.refresh()
        tools = {*self._tools.infos, *OWN} if self._tools.complete else None
        calls = await self._calls() if called(source.automation) else {}
        world = World(tools=tools, secrets=secrets, calls=calls)
        mistakes = [*validate(source, world), *source.placed(_not_offered(source.automation))]
        if mistakes:
            raise InvalidAutomation(None, tuple(in_order(mistakes)))
        return source

    async def save(self, text: str, author: KeyRecord, revision: int | None) -> Kept:
        """Keep a draft under its own name. Raises as `check` and `Automations.save`."""
        name = (await self.check(text)).automation.name
        return await self.automations.save(name, text, author.id, revision)

    async def publish(self, name: str, revision: int | None, publisher: KeyRecord) -> Kept:
        """Let the draft run from now on; runs under way keep to their version.

        It gets an API key of its own that has the scopes its tools need and no others. Raises
        `Forbidden` when the publisher's key lacks one of them, or may not use secrets that it uses.
        """
        kept = await self.automations.get(name)
        if revision not in (None, kept.revision):
            raise Stale(None, kept)
        names = {secret.name for secret in await self._secrets.all()}
        automation = (await self.check(kept.draft, names)).automation
        record = self._principal(automation, publisher)
        await self._keys.add(record)
        try:
            await self._keys_changed()
            version = content_hash(automation)
            published = await self.automations.publish(
                name, kept.revision, version, dump(automation), record.id
            )
        except Exception:
            await self._revoke(record.id)
            raise
        await self._runs.hold(name, False, revision=published.write)
        await self._set_schedules(kept, automation, published.write)
        await self.retire(name, kept.principal)
        return published

    async def retire(self, name: str, principal: str | None) -> None:
        """Revoke a key that the automation had before, once no run under way acts as it."""
        for state in GOING:
            for run in await self._runs.list(name, state, limit=LAST):
                created = await self._starts.beginning(run.id)
                if created and created.principal == principal:
                    return
        await self._revoke(principal)

    async def enable(self, name: str, enabled: bool, reason: str = "") -> Kept:
        """Let it start runs or not. What is in line or has not begun is cancelled when not."""
        kept = await self.automations.enable(name, enabled, reason)
        automation = await self._starts.published(kept)
        await self._runs.hold(name, not enabled, revision=kept.write)
        await self._set_schedules(kept, automation if enabled else None, kept.write)
        if not enabled:
            await self._starts.cancel_all(name, ("queued",))
        return kept

    async def delete(self, name: str) -> None:
        """Turn it off, cancel its runs, revoke its key and remove it, in this order: what was
        interrupted can be done again. Journals stay for their time."""
        kept = await self.enable(name, False)
        await self._starts.cancel_all(name, GOING)
        await self._revoke(kept.principal)
        await self.automations.delete(name)

    async def _calls(self) -> dict[str, frozenset[str]]:
        """What each automation calls, as it runs and as it is drafted."""
        calls: dict[str, frozenset[str]] = {}
        for kept in await self.automations.all():
            runs = await self._starts.published(kept)
            calls[kept.name] = _called(kept.draft) | (called(runs) if runs else frozenset())
        return calls

    # Keys and schedules.

    def _principal(self, automation: Automation, publisher: KeyRecord) -> KeyRecord:
        tools = self._tools.infos
        wanted = uses(automation)
        if missing := wanted - tools.keys():
            raise Unavailable(f"No room that answers has the tool '{min(missing)}'.")
        scopes = sorted({scope for use in wanted for scope in tools[use].scopes})
        for scope in scopes:
            if not publisher.allows(scope):
                raise Forbidden(f"Its tools need the scope '{scope}', which this API key lacks.")
        if _secrets_read(automation) and not publisher.allows("secret"):
            raise Forbidden("It uses secrets, for which this API key lacks the scope 'secret'.")
        new = NewKey(
            name=f"automation {automation.name}"[:64],
            scopes=tuple(scopes) or ("read",),
            allow_domains=publisher.allow_domains,
            deny_domains=publisher.deny_domains,
        )
        return make_key(new)[1]  # nobody is ever told the key itself

    async def _revoke(self, principal: str | None) -> None:
        if principal is None:
            return
        try:
            await self._keys.revoke(principal)
        except NotFound:
            return  # its owner did
        await self._keys_changed()

    async def _set_schedules(self, kept: Kept, automation: Automation | None, write: int) -> None:
        """Set the next instants, and remove those of triggers that are gone: as of that write, so
        that one that comes late changes nothing."""
        before = await self._starts.published(kept)
        wanted = schedules(automation) if automation else {}
        for trigger in schedules(before).keys() - wanted.keys() if before else ():
            await self._runs.schedule(schedule_name(kept.name, trigger), None, revision=write)
        for trigger, schedule in wanted.items():
            fires = next_fires(schedule, datetime.now(UTC), 1)
            at = milliseconds(fires[0]) if fires else None
            await self._runs.schedule(schedule_name(kept.name, trigger), at, revision=write)


@lru_cache(maxsize=MOST_AUTOMATIONS)
def _called(draft: str) -> frozenset[str]:
    try:
        return called(load(draft).automation)
    except InvalidAutomation:  # of an older format
        return frozenset()


def uses(automation: Automation) -> set[str]:
    """The tools of rooms that its steps use."""
    return {step.use for step in automation.steps} - OWN


def schedules(automation: Automation) -> dict[str, Schedule]:
    """An automation's schedules under their triggers' names."""
    named = automation.triggers.named()
    return {name: one for name, one in named.items() if isinstance(one, Schedule)}


def schedule_name(name: str, trigger: str) -> str:
    """What the store calls a schedule."""
    return f"{name}:{trigger}"


def milliseconds(instant: datetime) -> int:
    """Of Unix time."""
    return round(instant.timestamp() * 1000)


def _secrets_read(automation: Automation) -> frozenset[str]:
    return secrets_read([step.arguments for step in automation.steps])


def _not_offered(automation: Automation) -> list[tuple[tuple[str | int, ...], str]]:
    kinds = {name.partition("-")[0] for name in automation.triggers.named()}
    message = "this trigger is not offered yet"
    return [(("on", kind), message) for kind in sorted(kinds) if kind not in OFFERED]
