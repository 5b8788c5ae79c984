"""Everything that can go wrong, as one shallow tree.

    AutoBotError                      500 internal
    ├── BadRequest                    400 bad-request
    │   └── ContextLengthExceeded     400 context-length-exceeded
    ├── Unauthenticated               401 unauthenticated
    ├── Forbidden                     403 forbidden
    │   └── BlockedAddress            403 blocked-address
    ├── NotFound                      404 not-found
    │   ├── ModelNotFound             404 model-not-found
    │   ├── SecretMissing             404 secret-missing
    │   └── SessionEnded              410 session-ended
    ├── TooSlow                       408 too-slow
    ├── Conflict                      409 conflict
    │   ├── ProfileDamaged            409 profile-damaged
    │   ├── SecretUnreadable          409 secret-unreadable
    │   ├── Stale                     409 stale
    │   └── WheelTaken                423 wheel-taken      (Retry-After)
    ├── TooLarge                      413 too-large
    ├── Invalid                       422 invalid
    │   ├── InvalidAutomation         422 invalid-automation
    │   ├── InvalidExpression         422 invalid-expression
    │   └── RequestRefused            422 request-refused
    ├── NotKept                       422 schema-not-kept
    ├── ElementFailed                 422 element
    ├── Busy                          429 busy             (Retry-After)
    ├── Cancelled                     499 cancelled
    ├── ModelFailed                   502 model-failed
    ├── PageFailed                    502 page-failed
    ├── RequestFailed                 502 request-failed
    ├── Unavailable                   503 unavailable      (Retry-After)
    ├── Timeout                       504 timeout
    │   └── RequestLost               504 request-lost
    ├── BadModelFile                  500 internal
    ├── ApiError                      500 internal
    └── SetupError                    500 setup

Those of one room stand in its folder: `SessionEnded`, `WheelTaken`, `ProfileDamaged`,
`ElementFailed`, `PageFailed`, `RequestFailed`, `RequestLost`, `RequestRefused` and `ModelFailed` in
room browser, `BadModelFile` in room llm; and `InvalidAutomation`, `InvalidExpression` and
`Cancelled` in `autobot.automation`; `Stale`, `SecretMissing` and `SecretUnreadable` in
`autobot.contracts`. No answer carries `Cancelled`, which a run's journal says of a step that was
called off, nor the last two: `ApiError` is what the CLI was told, `SetupError` that the machine
lacks something, with the remedy.

Every argument goes positionally to ``Exception.__init__``: an error that crosses a process must be
rebuilt from ``args`` by pickle, or it arrives as something else. The class docstring is the default
message, so the two cannot drift.
"""

from typing import ClassVar, Self


class AutoBotError(Exception):
    """Something failed inside AutoBot."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "internal"
    retry_after: ClassVar[float | None] = None
    param: str | None = None
    """The field of the request that is wrong, where it is one."""

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.default_detail())

    @classmethod
    def default_detail(cls) -> str:
        """Return the first line of the class docstring."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]

    def of(self, param: str) -> Self:
        """Say which field is wrong; it survives pickling, as every attribute does."""
        self.param = param
        return self

    @property
    def detail(self) -> str:
        """What went wrong, in the words a caller is shown."""
        return str(self.args[0])


class BadRequest(AutoBotError):
    """The request cannot be understood."""

    status = 400
    type = "bad-request"


class ContextLengthExceeded(BadRequest):
    """The prompt is longer than the model's context."""

    type = "context-length-exceeded"

    def __init__(
        self, detail: str | None = None, tokens: int | None = None, context: int | None = None
    ) -> None:
        """``tokens`` of the prompt and the ``context``, where the engine says them; ``tokens`` is a
        guess where no engine was asked to count."""
        Exception.__init__(self, detail or self.default_detail(), tokens, context)

    @property
    def tokens(self) -> int | None:
        """How many the prompt has, or a guess; None where the engine did not say."""
        return self.args[1]

    @property
    def context(self) -> int | None:
        """How many tokens the model takes; None where the engine did not say."""
        return self.args[2]

    def __str__(self) -> str:
        return self.detail


class Unauthenticated(AutoBotError):
    """An API key is needed: send it as `Authorization: Bearer ab_...`."""

    status = 401
    type = "unauthenticated"


class Forbidden(AutoBotError):
    """This API key may not do that."""

    status = 403
    type = "forbidden"


class BlockedAddress(Forbidden):
    """The browser may not visit that address."""

    type = "blocked-address"


class NotFound(AutoBotError):
    """There is no such thing here."""

    status = 404
    type = "not-found"


class ModelNotFound(NotFound):
    """There is no such model here."""

    type = "model-not-found"


class TooSlow(AutoBotError):
    """The request's body came too slowly."""

    status = 408
    type = "too-slow"


class Conflict(AutoBotError):
    """That clashes with what is already there."""

    status = 409
    type = "conflict"


class TooLarge(AutoBotError):
    """The request is larger than this service accepts."""

    status = 413
    type = "too-large"


class Invalid(AutoBotError):
    """A value in the request is not acceptable."""

    status = 422
    type = "invalid"


class NotKept(AutoBotError):
    """The model did not answer as the schema asks."""

    status = 422
    type = "schema-not-kept"


class Busy(AutoBotError):
    """The queue is full; try again shortly."""

    status = 429
    type = "busy"
    retry_after = 1.0


class Unavailable(AutoBotError):
    """The room that serves this is not available at the moment."""

    status = 503
    type = "unavailable"
    retry_after = 2.0


class Timeout(AutoBotError):
    """The work did not finish within its deadline."""

    status = 504
    type = "timeout"


class SetupError(AutoBotError):
    """This machine is not ready."""

    type = "setup"

    def __init__(self, detail: str | None = None, remedy: str = "") -> None:
        Exception.__init__(self, detail or self.default_detail(), remedy)

    @property
    def remedy(self) -> str:
        """What a person can do about it; empty where nothing is known."""
        return str(self.args[1])

    def __str__(self) -> str:
        return f"{self.detail}\n  {self.remedy}" if self.remedy else self.detail
