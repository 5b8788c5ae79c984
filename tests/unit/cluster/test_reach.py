"""The way to the dashboard of a cluster: nobody else on the operator's machine gets Ray's token."""

import socket
import sys
from collections.abc import Iterator

import pytest

from autobot.cluster import reach
from autobot.errors import SetupError

PROGRAM = """
import socket, sys, time
if "takes" in sys.argv[1]:
    way = next(word for word in sys.argv if word.startswith("127.0.0.1:"))
    listener = socket.create_server(("127.0.0.1", int(way.split(":")[1])))
time.sleep(float(sys.argv[2]))
sys.exit("bind: Address already in use")
"""
"""Stands for ssh: the same arguments, and a listener or none."""


def ssh(what: str, seconds: float) -> list[str]:
    return [sys.executable, "-c", PROGRAM, what, str(seconds)]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Somebody else listens on the port that ssh was told to take."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(reach, "_free_port", lambda: listener.getsockname()[1])
        yield listener


def test_a_port_that_somebody_else_took_first_is_no_way_to_the_dashboard(
    taken: socket.socket,
) -> None:
    with (
        pytest.raises(SetupError, match="Address already in use"),
        reach.tunnel(ssh("fails", 1.0), "main", 8265),
    ):
        raise AssertionError("the token would be sent now")


def test_the_way_is_there_when_ssh_itself_listens() -> None:
    with reach.tunnel(ssh("takes", 30), "main", 8265) as dashboard:
        host, port = dashboard.removeprefix("http://").split(":")
        socket.create_connection((host, int(port)), 5).close()
