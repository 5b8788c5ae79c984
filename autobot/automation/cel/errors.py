"""What can be wrong with an expression; callers see `InvalidExpression` in their place."""


class CelError(Exception):
    """An expression that cannot be read or has no value; ``column`` counts from 1, 0 is unknown."""

    def __init__(self, detail: str, column: int = 0) -> None:
        super().__init__(detail, column)

    @property
    def detail(self) -> str:
        """What is wrong, in words."""
        return str(self.args[0])

    @property
    def column(self) -> int:
        """Where in the expression; 0 is unknown."""
        return int(self.args[1])


class NoValue(CelError):
    """A part has no value. ``||``, ``&&``, ``all`` and ``exists`` may do without that part."""


class TooCostly(CelError):
    """The bound is used up; nothing may go on."""
