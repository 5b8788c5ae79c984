"""One real platform for all tests of this folder, with a room of its owner's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import parts
from tests.platform import Platform, free_ports

OWN_ROOM = "greeter"
SITE_PORT, MAIL_PORT = free_ports(2)
"""Of this machine, and open to automations' steps."""


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    home: Path = tmp_path_factory.mktemp("platform") / "home"
    home.mkdir(mode=0o700)
    shutil.copytree(Path(__file__).parent / OWN_ROOM, home / "rooms" / OWN_ROOM)
    made = Platform.make(home)
    opened = ",".join(f"127.0.0.1:{port}" for port in (SITE_PORT, MAIL_PORT))
    made.own_environment["AUTOBOT_EGRESS_ALLOW"] = opened
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
