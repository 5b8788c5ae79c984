"""What a person does with automations and their runs."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from autobot.automation.document import Automation
from autobot.automation.errors import InvalidAutomation
from autobot.automation.inputs import fill_in
from autobot.automation.reading import Source, content_hash, dump, in_order, load
from autobot.automation.runs.journal import (
    Asked,
    Created,
    JournalEntry,
    decoded,
    encode,
    new_run,
)
from autobot.automation.runs.retries import kept_before
from autobot.automation.runs.state import fold
from autobot.automation.runs.waits import WAITS
from autobot.automation.schedule import next_fires
from autobot.automation.triggers import Schedule
from autobot.automation.validation import World, validate
from autobot.contracts.automations import Automations, Kept
from autobot.contracts.keys import Keys
from autobot.contracts.runs import Entry, NewRun, Runs
from autobot.contracts.tools import ToolInfo
from autobot.errors import Busy, Conflict, Forbidden, NotFound, Unavailable
from autobot.keys import KeyRecord, NewKey, make_key

OFFERED = ("manual", "schedule")
"""The triggers that start runs."""
LAST = PAGE = 1_000
TAKEN_S = 3 * 86_400
"""How long the same Idempotency-Key means the same run, whether that run is kept or not."""

KeysChanged = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Trigger:
    """What started a run: ``manual`` or a trigger's name; ``by`` is a key's id."""

    name: str
    by: str = ""
    at: int | None = None

    def values(self) -> dict[str, Any]:
        """As the journal and expressions have it."""
        values = {"name": self.name, "by": self.by, "at": self.at}
        return {name: value for name, value in values.items() if value not in ("", None)}


class Tools(Protocol):
    """The tools that steps use: see `ToolKinds`."""

    @property
    def infos(self) -> Mapping[str, ToolInfo]: ...
    @property
    def complete(self) -> bool: ...
    async def refresh(self) -> None: ...


class AutomationService:
    """Saves, publishes and starts automations."""

    def __init__(
        self,
        automations: Automations,
        runs: Runs,
        keys: Keys,
        tools: Tools,
        keys_changed: KeysChanged,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """``wake`` is called when a run was made; ``keys_changed`` tells every replica."""
        self.automations, self.runs = automations, runs
        self._keys, self._tools = keys, tools
        self._keys_changed, self.wake = keys_changed, wake

    # Documents.

    async def check(self, text: str) -> Source:
        """Read a document whole. Raises `InvalidAutomation` with every mistake.

        A tool that is not known may be new. While a room has not said yet what it has, no name of a
        tool is a mistake; `publish` waits for it.
        """
        source = load(text)
        if {step.use for step in source.automation.steps} - WAITS - self._tools.infos.keys():
            await self._tools.refresh()
        tools = {*self._tools.infos, *WAITS} if self._tools.complete else None
        world = World(tools=tools, secrets=())
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
        `Forbidden` when the publisher's key lacks one of them.
        """
        kept = await self.automations.get(name)
        automation = (await self.check(kept.draft)).automation
        record = self._principal(automation, publisher)
        await self._keys.add(record)
        await self._keys_changed()
        published = await self.automations.publish(
            name,
            kept.revision if revision is None else revision,
            content_hash(automation),
            dump(automation),
            record.id,
        )
        await self._set_schedules(kept, automation, published.write)
        await self.runs.hold(name, False)
        await self._revoke(kept.principal)
        return published

    async def enable(self, name: str, enabled: bool) -> Kept:
        """Let it start runs or not. What is in line or has not begun is cancelled when not."""
        kept = await self.automations.enable(name, enabled)
        automation = await self.published(kept)
        await self.runs.hold(name, not enabled)
        await self._set_schedules(kept, automation if enabled else None, kept.write)
        if not enabled:
            await self._cancel_all(name, ("queued",))
        return kept

    async def delete(self, name: str) -> None:
        """Remove it, cancel its runs and revoke its key. Journals stay for their time."""
        kept = await self.automations.get(name)
        gone = await self.automations.delete(name)
        await self._set_schedules(kept, None, gone.write)
        await self._cancel_all(name, ("queued", "running", "waiting", "paused"))
        await self._revoke(kept.principal)

    async def published(self, kept: Kept) -> Automation | None:
        """The document that runs; None when none was published."""
        return await self.version(kept.version) if kept.version else None

    async def version(self, version: str) -> Automation | None:
        """A version's document; None where this program has none that it can read."""
        text = await self.automations.document(version)
        try:
            return load(text).automation if text is not None else None
        except InvalidAutomation:
            return None

    # Runs.

    async def start(
        self, name: str, inputs: Mapping[str, Any], caller: KeyRecord, idempotency: str | None
    ) -> str:
        """Make a run and return its id; with ``idempotency`` the same one for the same caller.

        Raises `NotFound`, `Conflict` when it is off or one runs already, `Busy` when too many wait.
        """
        kept = await self.automations.get(name)
        automation = await self.published(kept)
        if automation is None or not kept.enabled:
            raise Conflict(f"The automation '{name}' is not published and on.")
        run = await self.new_run(
            kept,
            automation,
            run_name(name, caller.id, idempotency),
            fill_in(automation.inputs, inputs),
            Trigger("manual", caller.id),
        )
        made = await self.runs.create(run)
        if made == "full" and automation.mode == "single":
            raise Conflict(f"A run of '{name}' is under way, and its mode is single.")
        if made == "full":
            raise Busy(f"{run.most_open} runs of '{name}' are under way or wait.")
        self.wake()
        return run.id

    async def new_run(
        self,
        kept: Kept,
        automation: Automation,
        run: str,
        inputs: Mapping[str, Any],
        trigger: Trigger,
    ) -> NewRun:
        """Return a run that is not made yet; mode ``restart`` cancels those before it."""
        if automation.mode == "restart":
            await self._cancel_all(kept.name, ("queued", "running", "waiting", "paused"))
        created = Created(
            version=kept.version or "",
            inputs=inputs,
            trigger=trigger.values(),
            principal=kept.principal or "",
        )
        return self._placed(automation, run, kept, created)

    def _placed(
        self,
        automation: Automation,
        run: str,
        kept: Kept,
        created: Created,
        earlier: Sequence[JournalEntry] = (),
    ) -> NewRun:
        """The run with its place in the automation's line."""
        limits = automation.limits
        running = limits.parallel if automation.mode == "parallel" else 1
        most = 1 if automation.mode == "single" else limits.queue + running
        return new_run(
            run,
            kept.name,
            created,
            earlier,
            most_open=most,
            most_running=running,
            most_kept=limits.runs_kept,
            kept_s=limits.kept_for,
            taken_s=TAKEN_S,
        )

    async def retry(self, run: str, step: str | None, by: KeyRecord) -> str:
        """Make a run that goes on from ``step`` of one that ended, or begins again without one.

        It keeps to that run's version and inputs, and acts as the automation's present key. Raises
        `NotFound`, `Invalid` when the run goes on or has no such step, `Busy`.
        """
        entries = decoded(await self.journal(run))
        state = fold(entries)
        created = state.created
        shown = await self.runs.get(run)
        if shown is None or created is None:
            raise NotFound(f"There is no run '{run[:100]}'.")
        kept = await self.automations.get(shown.automation)
        automation = await self.version(created.version)
        if automation is None:
            raise Conflict("The run's version is not there any more.")
        earlier = kept_before(automation, state, step or automation.steps[0].id, entries)
        if not kept.enabled:
            raise Conflict(f"The automation '{kept.name}' is off.")
        again = replace(
            created,
            retry_of=run,
            trigger=Trigger("retry", by.id).values(),
            principal=kept.principal or "",
        )
        new = self._placed(automation, run_name(kept.name, by.id, None), kept, again, earlier)
        if await self.runs.create(new) == "full":
            raise Busy(f"Too many runs of '{kept.name}' are under way or wait.")
        self.wake()
        return new.id

    async def journal(self, run: str) -> list[Entry]:
        """Every entry of a run; none where there is no such run."""
        entries: list[Entry] = []
        while page := await self.runs.read(run, len(entries), PAGE):
            entries += page
            if len(page) < PAGE:
                break
        return entries

    async def ask(self, run: str, what: Any, by: KeyRecord) -> None:
        """Cancel, pause or resume. Raises `NotFound`, `Conflict` when the run has ended."""
        name = what if what == "cancel" else f"{what}-{secrets.token_hex(4)}"
        purpose = "end" if what == "cancel" else "other"
        outcome = await self.runs.ask(run, name, encode(Asked(what, by=by.id)), purpose)
        if outcome == "missing":
            raise NotFound(f"There is no run '{run[:100]}'.")
        if outcome == "ended":
            raise Conflict("The run has ended.")
        if outcome == "full":
            raise Busy("Too much was asked of this run.")

    async def _cancel_all(self, name: str, states: Sequence[Any]) -> None:
        for state in states:
            for run in await self.runs.list(name, state, limit=LAST):
                await self.runs.ask(run.id, "cancel", encode(Asked("cancel")), "end")

    # Keys and schedules.

    def _principal(self, automation: Automation, publisher: KeyRecord) -> KeyRecord:
        tools = self._tools.infos
        uses = {step.use for step in automation.steps} - WAITS
        if missing := uses - tools.keys():
            raise Unavailable(f"No room that answers has the tool '{min(missing)}'.")
        scopes = sorted({scope for use in uses for scope in tools[use].scopes})
        for scope in scopes:
            if not publisher.allows(scope):
                raise Forbidden(f"Its tools need the scope '{scope}', which this API key lacks.")
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
        before = await self.published(kept)
        wanted = schedules(automation) if automation else {}
        for trigger in schedules(before).keys() - wanted.keys() if before else ():
            await self.runs.schedule(schedule_name(kept.name, trigger), None, revision=write)
        for trigger, schedule in wanted.items():
            fires = next_fires(schedule, datetime.now(UTC), 1)
            at = milliseconds(fires[0]) if fires else None
            await self.runs.schedule(schedule_name(kept.name, trigger), at, revision=write)


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


def run_name(name: str, caller: str, idempotency: str | None) -> str:
    """A new run's id, or with ``idempotency`` always the same."""
    if idempotency is None:
        return f"{name}-{secrets.token_hex(8)}"
    digest = hashlib.sha256(f"{name}\n{caller}\n{idempotency}".encode()).hexdigest()
    return f"{name}-{digest[:24]}"


def _not_offered(automation: Automation) -> list[tuple[tuple[str | int, ...], str]]:
    kinds = {name.partition("-")[0] for name in automation.triggers.named()}
    message = "this trigger is not offered yet"
    return [(("on", kind), message) for kind in sorted(kinds) if kind not in OFFERED]
