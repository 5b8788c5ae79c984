from collections.abc import Callable
from pathlib import Path

import pytest

from autobot.catalogue import Catalogue, Entry
from tests.unit.catalogue.fakes import FakeRegistry, carriers

Make = Callable[..., Catalogue]


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def make(tmp_path: Path, registry: FakeRegistry) -> Make:
    """A catalogue of the given entries on one cache folder."""

    def build(*entries: Entry) -> Catalogue:
        return Catalogue(tmp_path / "cache", {e.name: e for e in entries}, carriers(registry))

    return build
