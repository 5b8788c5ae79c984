"""What the contract tests of several rooms share."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    """A loop of its own, for tests that are called from code that is not async."""
    with asyncio.Runner() as made:
        yield made
