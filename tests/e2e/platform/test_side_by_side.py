"""Two platforms on one machine: own homes, own ports, and neither touches the other."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.platform import Platform


@pytest.mark.drill
def test_stopping_one_platform_leaves_the_other_as_it_was(platform: Platform) -> None:
    home = Path(tempfile.mkdtemp(prefix="ab-second-"))
    second = Platform.make(home / "home", ranges_from=23000, display=41)
    before = platform.replicas()
    try:
        assert second.up()["shown"]
        assert second.health()["state"] == platform.health()["state"] == "ok"
        assert platform.replicas() == before
        with second.client(platform.key) as stranger:
            assert stranger.get("/api/cluster").status_code == 401
    finally:
        second.down()
    assert second.processes() == []
    assert platform.replicas() == before
    assert platform.health()["state"] == "ok"
    shutil.rmtree(home)
