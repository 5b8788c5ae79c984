"""Redis' own words, as the platform's errors."""

import pytest
from redis import exceptions

from autobot.errors import Unavailable
from deployments.redis.errors import translated


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ResponseError("MISCONF Errors writing to the AOF file: No space left on device"),
        exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        exceptions.ConnectionError("refused"),
    ],
)
def test_a_redis_that_cannot_keep_anything_is_unavailable(error: Exception) -> None:
    with pytest.raises(Unavailable), translated():
        raise error


def test_a_mistake_of_ours_is_no_outage() -> None:
    with pytest.raises(exceptions.ResponseError), translated():
        raise exceptions.ResponseError("ERR wrong number of arguments")
