"""A replica of a room."""

from pathlib import Path

import pytest

from autobot.errors import SetupError
from autobot.serving.room import Room


class Greeter(Room):
    room = "greeter"


def test_a_replica_of_a_room_that_is_left_out_says_what_is_wrong_with_its_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    (tmp_path / "rooms" / "greeter").mkdir(parents=True)
    (tmp_path / "rooms" / "greeter" / "manifest.yaml").write_text("room: [")
    with pytest.raises(SetupError, match=r"greeter/manifest\.yaml"):
        Greeter()
