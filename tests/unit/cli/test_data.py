"""`autobot backup` and `autobot restore` name the secrets that a backup does not have."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from autobot.backup import unpack
from autobot.cli import data
from autobot.cli.main import app as autobot
from autobot.client import Answer

SNAPSHOT = b"REDIS0012 and so on"


class Client:
    """Answers as a platform with these secrets does."""

    secrets: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: object) -> "Client":
        return cls()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def request(self, method: str, path: str) -> Answer:
        if path == "/api/backup":
            return Answer(SNAPSHOT)
        return Answer([{"name": name, "readable": True} for name in self.secrets])


def call(*words: str) -> Any:
    return CliRunner().invoke(autobot, list(words))


@pytest.mark.parametrize("names", [(), ("HOOK_TOKEN", "MAIL_PASSWORD")])
def test_a_restore_lists_the_secrets_to_set_again(
    names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "secrets", names)
    monkeypatch.setattr(data, "Client", Client)
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path / "home"))
    file = tmp_path / "b.tar.gz"
    result = call("backup", str(file))
    assert result.exit_code == 0, result.output
    assert ("without the values of" in result.output) == bool(names)
    assert unpack(file)[0].secrets == names
    result = call("restore", str(file))
    assert result.exit_code == 0, result.output
    for name in names:
        assert f"autobot secret set {name}" in result.output
    assert ("secret set" in result.output) == bool(names)
