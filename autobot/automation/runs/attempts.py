"""One attempt of a step: it is begun, called off, and has a result that fits into a journal."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import JsonValue

from autobot.automation.document import OnUnknown
from autobot.automation.expressions import resolve
from autobot.automation.runs.decisions import Start
from autobot.automation.runs.journal import Place, dumps
from autobot.automation.runs.retries import as_failure
from autobot.automation.secrets.mask import Mask
from autobot.automation.secrets.opened import RunSecrets
from autobot.contracts.runs import LONGEST_BLOB
from autobot.errors import AutoBotError, Invalid, Timeout, TooLarge, Unavailable

log = logging.getLogger(__name__)

CANCEL_S = 10.0
"""How long an attempt that is called off, or whose time is over, may take to end by itself."""
OPEN_WITHIN_S, OPEN_AGAIN_S = 60.0, 1.0
"""How long a store of secrets that is away is asked again, and how often: nothing was done yet."""
DEEPEST = 64
"""Lists and maps in each other, in one output: expressions walk through it."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one attempt has to do, in the name of the API key ``principal``.

    ``run`` and ``place`` say of which step it is. ``key`` is the same for every attempt of one step
    of one run: a receiver that honours keys of idempotency does it once. ``deadline`` is on the
    event loop's clock. Once ``cancel`` is set there are `CANCEL_S` to end in. ``secrets`` are the
    values of those that ``arguments`` were computed with.
    """

    run: str
    place: Place
    use: str
    arguments: JsonValue = field(repr=False)
    principal: str
    key: str
    deadline: float
    cancel: asyncio.Event
    secrets: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class WaitFor:
    """What a step gives that goes on elsewhere: its result comes when ``run`` ends."""

    run: str


class StepKinds(Protocol):
    """The tools that steps use."""

    def knows(self, use: str) -> bool:
        """Whether there is such a tool here; a run that uses another is left to who has it."""
        ...

    def on_unknown(self, use: str) -> OnUnknown:
        """What to do about an attempt whose worker vanished, where the step does not say."""
        ...

    async def execute(self, work: Work) -> JsonValue | WaitFor:
        """Do it and return the step's output.

        An `AutoBotError` says by its ``status`` whether another attempt makes sense, and by
        ``retry_after`` when.
        """
        ...


class Cancelled(AutoBotError):
    """The step was called off."""

    status = 499
    type = "cancelled"


class Attempt:
    """An attempt under way; ``done`` is called when it has a result."""

    def __init__(
        self,
        start: Start,
        run: str,
        key: str,
        principal: str,
        kinds: StepKinds,
        secrets: RunSecrets,
        done: Callable[[], None],
    ) -> None:
        self.start = start
        self._secrets = secrets
        self._cancel = asyncio.Event()
        self._stopping: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._execute(kinds, run, key, principal))
        self._task.add_done_callback(lambda task: done())

    @property
    def place(self) -> Place:
        """Which step it is of."""
        return self.start.entry.place

    @property
    def over(self) -> bool:
        """Whether there is a result."""
        return self._task.done()

    async def _execute(
        self, kinds: StepKinds, run: str, key: str, principal: str
    ) -> JsonValue | WaitFor:
        """What does not end although it is cancelled is left alone: the run goes on without it.

        What comes once the time is over may be half a result, and does not count.
        """
        start = self.start
        deadline = asyncio.get_running_loop().time() + start.timeout

        async def execute() -> JsonValue | WaitFor:
            values = await self._opened(deadline) if start.secrets else {}
            arguments = start.arguments
            if values:
                names = {**start.names, "secrets": values}
                arguments = resolve(arguments, names, start.entry.step)
            given = (start.use, arguments, principal, key, deadline, self._cancel)
            return await kinds.execute(Work(run, self.place, *given, tuple(values.values())))

        working = asyncio.ensure_future(execute())
        try:
            await asyncio.wait({working}, timeout=start.timeout)
            if working.done():
                return working.result()
            self._cancel.set()
            await asyncio.wait({working}, timeout=CANCEL_S)
            raise Timeout(f"The step took longer than {start.timeout} seconds.")
        finally:
            working.add_done_callback(_forget)
            working.cancel()

    async def _opened(self, deadline: float) -> Mapping[str, str]:
        """The secrets as they are now. A store that is away is asked again."""
        loop = asyncio.get_running_loop()
        until = loop.time() + min(OPEN_WITHIN_S, (deadline - loop.time()) / 2)
        while True:
            try:
                return await self._secrets.values(self.start.secrets)
            except Unavailable:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(OPEN_AGAIN_S)

    def stop(self) -> None:
        """Call it off."""
        if self._stopping is None and not self.over:
            self._cancel.set()
            loop = asyncio.get_running_loop()
            self._stopping = loop.call_later(CANCEL_S, self._task.cancel)

    async def abandon(self) -> None:
        """End it at once; nobody asks for its result any more."""
        self._task.cancel()
        with contextlib.suppress(BaseException):
            await self._task

    @property
    def waits_for(self) -> WaitFor | None:
        """The run whose end is this attempt's result, once it is `over`."""
        done = not self._task.cancelled() and self._task.exception() is None
        result = self._task.result() if done else None
        return result if isinstance(result, WaitFor) else None

    def result(self, mask: Mask) -> tuple[JsonValue, bytes]:
        """Return the output without secrets, and the JSON to be stored; raises `AutoBotError`.

        The output is read from its JSON: what follows sees the same now and after a restart.
        """
        try:
            body = dumps(self._task.result())
            if mask.finds(body):
                body = dumps(mask(json.loads(body)))
            output: Any = json.loads(body)
        except AutoBotError:
            raise
        except asyncio.CancelledError as error:
            if not self._cancel.is_set():
                raise AutoBotError("The tool ended without a result.") from error
            raise Cancelled from error
        except (ValueError, TypeError, RecursionError) as error:
            raise Invalid(f"The step's output is no JSON: {error}") from error
        except Exception as error:
            log.error("a step failed unexpectedly: %s", mask.trace(error))
            raise as_failure(error) from error
        if _depth(output) > DEEPEST:
            raise Invalid(f"The step's output is nested deeper than {DEEPEST}.")
        if len(body) > LONGEST_BLOB:
            raise TooLarge(f"The step's output has {len(body)} bytes, at most {LONGEST_BLOB} fit.")
        return output, body


def _depth(value: Any) -> int:
    depth, layer = 0, [value]
    while layer := [v for v in layer if isinstance(v, dict | list)]:
        depth += 1
        layer = [of for v in layer for of in (v.values() if isinstance(v, dict) else v)]
    return depth


def _forget(working: "asyncio.Future[Any]") -> None:
    """Take the exception of what nobody waits for, or the event loop complains of it."""
    if not working.cancelled():
        working.exception()
