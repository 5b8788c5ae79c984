"""A killed engine's folder goes with the next load; a living one's stays."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.llm.engines.llamacpp.process import remove_leftovers


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    # pytest's own folder can be too long for a socket's path.
    with tempfile.TemporaryDirectory(prefix="ab-") as made:
        monkeypatch.setattr(tempfile, "tempdir", made)
        yield Path(made)


def listening(folder: Path) -> socket.socket:
    folder.mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "llama.sock"))
    server.listen()
    return server


def test_only_folders_nobody_listens_in_are_removed(folders: Path) -> None:
    dead = listening(folders / "autobot-llm-dead")
    dead.close()
    (folders / "autobot-llm-starting").mkdir()
    with listening(folders / "autobot-llm-alive"), listening(folders / "other") as other:
        other.close()
        remove_leftovers()
        left = sorted(folder.name for folder in folders.iterdir())
    assert left == ["autobot-llm-alive", "autobot-llm-starting", "other"]
