"""Redis' own errors, as this platform's."""

import contextlib
from collections.abc import Iterator

from redis import exceptions

from autobot.errors import Unavailable

CANNOT_WRITE = ("MISCONF", "OOM")
"""How Redis refuses writes while its disk is full, or its memory."""


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Redis' own errors, as this platform's; the most specific match comes first."""
    try:
        yield
    except exceptions.AuthenticationError as error:
        raise Unavailable("Redis refused this room's password.") from error
    except exceptions.NoPermissionError as error:
        raise Unavailable(f"Redis refused this room's user: {error}") from error
    except exceptions.BusyLoadingError as error:
        raise Unavailable("Redis is loading its data.") from error
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error
    except exceptions.OutOfMemoryError as error:
        raise Unavailable(f"Redis has no memory left and keeps nothing new: {error}") from error
    except exceptions.ResponseError as error:
        if not str(error).startswith(CANNOT_WRITE):
            raise
        raise Unavailable(
            f"Redis cannot write to its disk and keeps nothing new: {error}"
        ) from error
