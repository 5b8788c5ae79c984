"""One bounded pool of connections to Redis, and its errors as this platform's."""

import contextlib
from collections.abc import Iterator

import redis.asyncio
from redis import exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from autobot.errors import Unavailable

TIMEOUT_S = 5.0
"""A blob of 16 MiB is on the disk within it."""
CONNECTIONS = 512
"""More at once are `Unavailable`. Serve lets 256 requests in; an engine needs one for each of its
64 runs, and some for itself."""
PREFIX = "autobot:main:"
REFUSED = (
    exceptions.OutOfMemoryError,
    exceptions.NoPermissionError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
)
PASSING = ("MISCONF", "OOM", "BUSY", "UNKILLABLE")
"""What other answers say that may be others later."""


def connect(host: str, port: int, username: str, password: str) -> "redis.asyncio.Redis":
    """Return a client that connects on first use and again after every loss.

    It repeats nothing by itself: a claim that happened twice would leave runs idle until their
    first lease ends. Who calls knows what it may repeat.
    """
    pool = redis.asyncio.ConnectionPool(
        host=host,
        port=port,
        username=username,
        password=password,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        max_connections=CONNECTIONS,
        retry=Retry(NoBackoff(), 0),
    )
    return redis.asyncio.Redis.from_pool(pool)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Redis' own errors as this platform's: away, without memory or disk, or a wrong password."""
    try:
        yield
    except (exceptions.ConnectionError, exceptions.TimeoutError) as error:
        raise Unavailable(f"Redis does not answer: {error}") from error
    except REFUSED as error:
        raise Unavailable(f"Redis refused: {error}") from error
    except exceptions.ResponseError as error:
        if not any(word in str(error) for word in PASSING):
            raise
        raise Unavailable(f"Redis keeps nothing new: {error}") from error
