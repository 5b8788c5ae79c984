"""`python`: a program that computes on its inputs, in a process of its own."""

from pydantic import ValidationError

from autobot.concurrency import ConcurrencyLimiter
from autobot.contracts.tools import ToolCall
from autobot.errors import Invalid
from autobot.sandbox import Limits
from deployments.browser.outside import child
from deployments.browser.outside.python.schemas import Code, Computed

PROCESS = "deployments.browser.outside.python.process"
LIMITS = Limits(memory=768 << 20, cpu_s=40, wall_s=70)
"""Of the process: far more than the interpreter's own, which say what was too much."""
MOST_BYTES = 32 << 20
"""Of an answer: letters may take six bytes in JSON."""
AT_ONCE, EACH = 4, 3


class Python:
    """Runs programs for steps."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._limiter = ConcurrencyLimiter(
            AT_ONCE, 64, limit_each=EACH, waiting_each=48, what="programs"
        )

    async def run(self, given: Code, call: ToolCall) -> Computed:
        """Run the program. Raises `Invalid`, with the line, for what it does wrong or takes too
        much of, and `Busy`.
        """
        async with self._limiter.slot(call.caller.id):
            try:
                said = await child.answer(PROCESS, given.model_dump(), self._limits, MOST_BYTES)
                if "error" not in said:
                    return Computed.model_validate(said)
            except (child.Lost, ValidationError) as error:
                raise Invalid(
                    "The program takes more than it may, or broke its interpreter."
                ) from error
        raise Invalid(str(said["error"]))
