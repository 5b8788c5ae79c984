"""What can be wrong with an automation's document and its expressions."""

from dataclasses import dataclass

from autobot.errors import Invalid

MOST_MISTAKES = 50
"""Of one document that are told."""


@dataclass(frozen=True)
class Mistake:
    """One mistake: ``path`` as in ``steps[2].with.url``; line and column from 1, 0 is unknown."""

    path: str
    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.line}:{self.column}: " if self.line else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class InvalidAutomation(Invalid):
    """The automation's document has mistakes."""

    type = "invalid-automation"

    def __init__(self, detail: str | None = None, mistakes: tuple[Mistake, ...] = ()) -> None:
        """``mistakes`` are all of them, in the order of the text."""
        text = detail or "\n".join(map(str, mistakes)) or self.default_detail()
        Exception.__init__(self, text, mistakes)

    @property
    def mistakes(self) -> tuple[Mistake, ...]:
        """Every mistake with its place."""
        return self.args[1]

    def __str__(self) -> str:
        return self.detail


class InvalidExpression(Invalid):
    """An expression cannot be read, or has no value."""

    type = "invalid-expression"

    def __init__(
        self, detail: str | None = None, expression: str = "", step: str = "", column: int = 0
    ) -> None:
        """``expression`` as its author wrote it, the ``step`` it stands in, and the ``column`` in
        the expression, from 1; 0 is unknown."""
        Exception.__init__(self, detail or self.default_detail(), expression, step, column)

    @property
    def expression(self) -> str:
        """The text between ``${{`` and ``}}``, at most 200 letters of it."""
        return str(self.args[1])[:200]

    @property
    def step(self) -> str:
        """The step's id; empty where it is in none."""
        return str(self.args[2])

    @property
    def column(self) -> int:
        """Where in the expression, from 1; 0 is unknown."""
        return int(self.args[3])

    @property
    def reason(self) -> str:
        """What is wrong, without the place."""
        return str(self.args[0])

    @property
    def detail(self) -> str:
        """What is wrong, with the step and the expression."""
        place = f"step {self.step}: " if self.step else ""
        return f"{place}{self.reason}: {self.expression}" if self.expression else self.reason

    def __str__(self) -> str:
        return self.detail
