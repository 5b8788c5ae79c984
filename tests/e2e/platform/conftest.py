"""One real platform for all tests of this folder, with a room of its owner's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import parts
from tests.platform import Platform

OWN_ROOM = "greeter"


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home: Path = tmp_path_factory.mktemp("platform") / "home"
    home.mkdir(mode=0o700)
    shutil.copytree(Path(__file__).parent / OWN_ROOM, home / "rooms" / OWN_ROOM)
    made = Platform.make(home)
    parts.fetch_all()
    try:
        made.up("--no-demo")
        yield made
    finally:
        made.down()


@pytest.fixture(autouse=True)
def settled(platform: Platform) -> None:
    """Each test begins with every room ok, whatever was broken before it."""
    platform.wait_until_ok(120)
