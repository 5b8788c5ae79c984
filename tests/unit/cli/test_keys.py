"""`autobot key create`: what the options become in the request."""

from typing import Any

import pytest
from typer.testing import CliRunner

from autobot.cli import keys
from autobot.keys import NewKey


def test_the_options_of_a_new_key_are_what_the_api_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, str, Any]] = []

    async def ask(method: str, path: str, **options: Any) -> Any:
        asked.append((method, path, options["json"]))
        return {"key": "ab_shown_once"}

    monkeypatch.setattr(keys, "_ask", ask)
    words = ["create", "shop", "--scope", "browser", "--deny-domain", "ads.example.com"]
    allow = ["--allow-domain", "example.com", "--allow-domain", "example.org"]
    result = CliRunner().invoke(keys.app, [*words, *allow])
    assert result.exit_code == 0, result.output
    assert "ab_shown_once" in result.output
    ((method, path, body),) = asked
    assert (method, path) == ("POST", "/api/keys")
    new = NewKey.model_validate(body)
    assert new.allow_domains == ("example.com", "example.org")
    assert new.deny_domains == ("ads.example.com",)
