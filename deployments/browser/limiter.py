"""How many jobs run, how many wait, and for how long."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from autobot.errors import Timeout
from deployments.browser.admission import AdmissionQueue


class JobLimiter:
    """``running`` jobs at once and ``waiting`` more in line, both shared out fairly between keys.

    ``what`` is done in it, for who is refused.
    """

    def __init__(self, running: int, waiting: int, what: str = "pages being rendered") -> None:
        self._admission = AdmissionQueue(lambda _: running - self._admission.inside, waiting, what)

    @property
    def active(self) -> int:
        """How many jobs run now, of all keys together."""
        return self._admission.inside

    @property
    def waiting(self) -> int:
        """How many jobs are in the line, of all keys together."""
        return self._admission.waiting

    @contextlib.asynccontextmanager
    async def slot(self, owner: str, timeout_s: float) -> AsyncIterator[None]:
        """Hold a slot; the deadline covers the wait and the work.

        Raises `Busy` at once when the line has no room, `Timeout` when the deadline passes.
        """
        try:
            async with asyncio.timeout(timeout_s), self._admission.place(owner, 2 * timeout_s):
                yield
        except TimeoutError as error:
            raise Timeout(f"The page was not ready within {timeout_s:g} s.") from error
