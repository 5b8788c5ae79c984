"""What goes wrong in this room and in no other."""

from autobot.errors import AutoBotError, Conflict, NotFound


class PageFailed(AutoBotError):
    """The page could not be loaded."""

    status = 502
    type = "page-failed"


class ElementFailed(AutoBotError):
    """The element cannot be found, or not be acted upon."""

    status = 422
    type = "element"


class SessionEnded(NotFound):
    """This session has ended."""

    status = 410
    type = "session-ended"


class WheelTaken(Conflict):
    """A person is driving this session."""

    status = 423
    type = "wheel-taken"
    retry_after = 5.0
