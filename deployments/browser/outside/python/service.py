"""`python`: a program that computes on its inputs, in a process of its own."""

from pydantic import ValidationError

from autobot.concurrency import ConcurrencyLimiter
from autobot.contracts.tools import ToolCall
from autobot.errors import Invalid
from autobot.sandbox import Limits
from deployments.browser.outside import child
from deployments.browser.outside.python.schemas import Code, Computed

PROCESS = "deployments.browser.outside.python.process"
SECONDS = 30.0
"""Of computing, and as many of sleeping."""
MOST_BYTES = 32 << 20
"""Of an answer: letters may take six bytes in JSON."""
AT_ONCE, EACH = 4, 3


class Python:
    """Runs programs for steps."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """``seconds``: how long a program may compute, and sleep."""
        self._seconds = seconds
        # Of the process: more than the interpreter's own limits, which say what was too much.
        self._limits = Limits(
            memory=768 << 20, cpu_s=int(seconds) + 10, wall_s=int(2 * seconds) + 10
        )
        self._limiter = ConcurrencyLimiter(
            AT_ONCE, 64, limit_each=EACH, waiting_each=48, what="programs"
        )

    async def run(self, given: Code, call: ToolCall) -> Computed:
        """Run the program. Raises `Invalid`, with the line, for what it does wrong or takes too
        much of, and `Busy`.
        """
        async with self._limiter.slot(call.caller.id):
            try:
                job = given.model_dump() | {"seconds": self._seconds}
                said = await child.answer(PROCESS, job, self._limits, MOST_BYTES)
                if "error" not in said:
                    return Computed.model_validate(said)
            except (child.Lost, ValidationError) as error:
                raise Invalid(
                    "The program takes more than it may, or broke its interpreter."
                ) from error
        raise Invalid(str(said["error"]))
