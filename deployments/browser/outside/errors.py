"""What goes wrong outside, and whether another attempt makes sense."""

from autobot.errors import AutoBotError, Invalid, Timeout

AGAIN = frozenset({408, 425, 429})


def for_the_moment(status: int) -> bool:
    """Whether an HTTP status of 400 or more may be another one at the next attempt."""
    return status >= 500 or status in AGAIN


class RequestRefused(Invalid):
    """The other side refuses the request; it would again."""

    type = "request-refused"


class RequestLost(Timeout):
    """The request was sent, and its answer was lost: nobody knows whether it was done."""

    type = "request-lost"


class RequestFailed(AutoBotError):
    """The other side did not do what was asked."""

    status = 502
    type = "request-failed"

    def __init__(self, detail: str | None = None, retry_after: float | None = None) -> None:
        """``retry_after``: in so many seconds, as the other side asks."""
        Exception.__init__(self, detail or self.default_detail(), retry_after)

    @property
    def retry_after(self) -> float | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Seconds; None when the other side did not say."""
        return self.args[1]

    def __str__(self) -> str:
        return self.detail
