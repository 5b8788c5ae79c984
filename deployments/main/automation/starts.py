"""Runs of automations: how they are made, and what is asked of them."""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autobot.automation.document import Automation
from autobot.automation.errors import InvalidAutomation
from autobot.automation.inputs import fill_in
from autobot.automation.reading import load
from autobot.automation.runs.journal import (
    Asked,
    Created,
    JournalEntry,
    decoded,
    dumps,
    encode,
    new_run,
)
from autobot.automation.runs.retries import kept_before
from autobot.automation.runs.state import fold
from autobot.contracts.automations import MOST_AUTOMATIONS, Automations, Kept
from autobot.contracts.runs import Entry, NewRun, Runs, State
from autobot.errors import Busy, Conflict, Invalid, NotFound, Unavailable
from autobot.keys import KeyRecord

LAST = PAGE = 1_000
TAKEN_S = 3 * 86_400
"""How long the same Idempotency-Key, or a delivery's id, means the same run, whether that run is
kept or not."""
MOST_VERSIONS = MOST_AUTOMATIONS
"""Documents that are kept read: to read 1,000 of them again takes seconds."""
MOST_DEPTH = 10
"""Runs that start each other, by calls and by events."""
GOING: tuple[State, ...] = ("queued", "running", "waiting", "paused")


@dataclass(frozen=True, slots=True)
class Trigger:
    """What started a run: ``manual``, ``call``, ``retry`` or a trigger's name. ``by`` is a key's
    id, and ``facts`` is what expressions may read besides."""

    name: str
    by: str = ""
    at: int | None = None
    facts: Mapping[str, Any] | None = None

    def values(self) -> dict[str, Any]:
        """As the journal and expressions have it."""
        values = {"name": self.name, "by": self.by, "at": self.at}
        own = {name: value for name, value in values.items() if value not in ("", None)}
        return {**(self.facts or {}), **own}


class Starts:
    """Makes runs; ``wake`` is called when one was made here."""

    def __init__(
        self, automations: Automations, runs: Runs, wake: Callable[[], None] = lambda: None
    ) -> None:
        self.automations, self.runs, self.wake = automations, runs, wake
        self._versions: OrderedDict[str, Automation] = OrderedDict()

    async def published(self, kept: Kept) -> Automation | None:
        """The document that runs; None when none was published."""
        return await self.version(kept.version) if kept.version else None

    async def version(self, version: str) -> Automation | None:
        """A version's document; None where this program has none that it can read."""
        if version in self._versions:
            self._versions.move_to_end(version)
            return self._versions[version]
        text = await self.automations.document(version)
        try:
            automation = load(text).automation if text is not None else None
        except InvalidAutomation:
            return None
        if automation is not None:
            self._versions[version] = automation
            if len(self._versions) > MOST_VERSIONS:
                self._versions.popitem(last=False)
        return automation

    async def is_unreadable(self, kept: Kept) -> bool:
        """Whether what runs was published by a newer program, and this one cannot read it."""
        return kept.version is not None and await self.published(kept) is None

    async def on(self, name: str) -> tuple[Kept, Automation]:
        """Return an automation that may run, and what runs. Raises `NotFound`, `Conflict` when it
        is not published or off, `Unavailable` when a newer program published it."""
        kept = await self.automations.get(name)
        if kept.version is None or not kept.enabled:
            raise Conflict(f"The automation '{name}' is not published and on.")
        automation = await self.version(kept.version)
        if automation is None:
            raise Unavailable("A newer program published it, which is on its way.")
        return kept, automation

    async def start(
        self,
        name: str,
        run: str,
        inputs: Mapping[str, Any],
        trigger: Trigger,
        **created: Any,
    ) -> str:
        """Make a run of that id, or find it, and return the id; ``created`` is more of `Created`.

        Raises as `on`; `Invalid` for wrong inputs, `Conflict` when its mode is single and one is
        under way, `Busy` when too many wait.
        """
        kept, automation = await self.on(name)
        try:
            dumps(dict(inputs))
        except ValueError as error:
            raise Invalid(f"An input is no JSON: {error}") from error
        new = self.new_run(
            kept, automation, run, fill_in(automation.inputs, inputs), trigger, **created
        )
        return await self.make(automation, new)

    def new_run(
        self,
        kept: Kept,
        automation: Automation,
        run: str,
        inputs: Mapping[str, Any],
        trigger: Trigger,
        **created: Any,
    ) -> NewRun:
        """Return a run that is not made yet."""
        beginning = Created(
            version=kept.version or "",
            inputs=inputs,
            trigger=trigger.values(),
            principal=kept.principal or "",
            **created,
        )
        return self._placed(automation, run, kept, beginning)

    async def make(self, automation: Automation, new: NewRun) -> str:
        """Make the run. Raises `Conflict` or `Busy` when there is no room for it."""
        made = await self.runs.create(new)
        if made == "full" and automation.mode == "single":
            raise Conflict(f"A run of '{new.automation}' is under way, and its mode is single.")
        if made == "full":
            raise Busy(f"{new.most_open} runs of '{new.automation}' are under way or wait.")
        await self.end_earlier(automation, new.id)
        self.wake()
        return new.id

    async def end_earlier(self, automation: Automation, run: str) -> None:
        """In mode restart cancel what was made before that run. Done again it does no harm: later
        runs are left alone."""
        shown = await self.runs.get(run) if automation.mode == "restart" else None
        if shown is not None:
            await self.cancel_all(automation.name, GOING, (shown.created, shown.id))

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
        return new_run(
            run,
            kept.name,
            created,
            earlier,
            most_open=1 if automation.mode == "single" else limits.queue + running,
            most_running=running,
            most_kept=limits.runs_kept,
            kept_s=limits.kept_for,
            taken_s=TAKEN_S,
        )

    async def retry(self, run: str, step: str | None, by: KeyRecord) -> str:
        """Make a run that goes on from ``step`` of one that ended, or begins again without one.

        It keeps to that run's version and inputs, and acts as the automation's present key. Raises
        `NotFound`, `Invalid` when the run goes on or has no such step, `Conflict`, `Busy`.
        """
        entries = decoded(await self.journal(run))
        state = fold(entries)
        created = state.created
        shown = await self.runs.get(run)
        if shown is None or created is None:
            raise NotFound(f"There is no run '{run[:100]}'.")
        kept = await self.automations.get(shown.automation)
        automation = await self.version(created.version)
        # Its present key may have rights that nobody gave to the version before.
        if automation is None or created.version != kept.version:
            raise Conflict("Another version was published since; start a new run.")
        earlier = kept_before(automation, state, step or automation.steps[0].id, entries)
        if not kept.enabled:
            raise Conflict(f"The automation '{kept.name}' is off.")
        again = replace(
            created,
            retry_of=run,
            trigger=Trigger("retry", by.id).values(),
            principal=kept.principal or "",
            parent=None,
        )
        new = self._placed(automation, run_name(kept.name, by.id, None), kept, again, earlier)
        return await self.make(automation, new)

    async def journal(self, run: str) -> list[Entry]:
        """Every entry of a run; none where there is no such run."""
        entries: list[Entry] = []
        while page := await self.runs.read(run, len(entries), PAGE):
            entries += page
            if len(page) < PAGE:
                break
        return entries

    async def beginning(self, run: str) -> Created | None:
        """How a run began; None where there is no such run or a newer program made it."""
        first = decoded(await self.runs.read(run, 0, 1))
        return first[0] if first and isinstance(first[0], Created) else None

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

    async def cancel(self, run: str) -> None:
        """Let a run end, if it has not."""
        await self.runs.ask(run, "cancel", encode(Asked("cancel")), "end")

    async def cancel_all(
        self, name: str, states: Sequence[State], before: tuple[int, str] | None = None
    ) -> None:
        """Cancel an automation's runs in these states, made before that one."""
        for state in states:
            for run in await self.runs.list(name, state, before, limit=LAST):
                await self.cancel(run.id)


def run_name(name: str, caller: str, idempotency: str | None) -> str:
    """A new run's id, or with ``idempotency`` always the same for the same ``caller``."""
    if idempotency is None:
        return f"{name}-{secrets.token_hex(8)}"
    digest = hashlib.sha256(f"{name}\n{caller}\n{idempotency}".encode()).hexdigest()
    return f"{name}-{digest[:24]}"
