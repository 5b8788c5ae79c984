"""`autobot secret`: a value comes from stdin, a prompt or a file, and is never an argument."""

from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from autobot.cli import secrets
from autobot.cli.main import app as autobot
from autobot.errors import Invalid

ONE = {"name": "TOKEN", "created": "2027", "changed": "2027-01-02T03:04:05Z", "by": "ab12"}


class Platform:
    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, Any]]] = []

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        self.requests.append((method, path, options))
        return [ONE | {"readable": True}, ONE | {"name": "OLD", "readable": False}]


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Platform:
    made = Platform()
    monkeypatch.setattr(secrets, "_ask", made.ask)
    return made


def call(*words: str, text: str | bytes = "") -> Any:
    return CliRunner().invoke(autobot, ["secret", *words], input=text)


def test_stdin_gives_the_value_without_its_last_line_end(platform: Platform) -> None:
    result = call("set", "TOKEN", text="hunter2\nmore\n")
    assert result.exit_code == 0, result.output
    ((method, path, options),) = platform.requests
    assert (method, path) == ("PUT", "/api/secrets/TOKEN")
    assert options["content"] == b"hunter2\nmore"
    assert "hunter2" not in result.output


def test_a_file_gives_all_that_is_in_it(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"line\r\n\xc3\xbc\n")
    result = call("set", "TOKEN", "--from-file", str(tmp_path / "key"))
    assert result.exit_code == 0, result.output
    assert platform.requests[0][2]["content"] == b"line\r\n\xc3\xbc\n"


def test_at_a_terminal_it_is_asked_for_and_not_shown(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def prompt(text: str, **options: Any) -> str:
        asked.append(options)
        return "typed-value"

    monkeypatch.setattr(secrets.sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "prompt", prompt)
    secrets.set_secret("TOKEN")
    assert asked[0]["hide_input"]
    assert platform.requests[0][2]["content"] == b"typed-value"


def test_no_argument_and_no_option_takes_a_value() -> None:
    command: Any = typer.main.get_command(secrets.app)
    taken = {name: param for param in command.commands["set"].params for name in param.opts}
    assert set(taken) == {"name", "--from-file"}
    assert call("set", "TOKEN", "hunter2").exit_code == 2


@pytest.mark.parametrize("text", [b"", b"abc\n", b"\xff\xfe\xfd\xfc"])
def test_what_is_no_value_is_not_sent(platform: Platform, text: bytes) -> None:
    result = call("set", "TOKEN", text=text)
    assert isinstance(result.exception, Invalid)
    assert not platform.requests


def test_a_wrong_name_is_told_before_anything_is_sent(platform: Platform) -> None:
    assert isinstance(call("set", "to/../ken", text="a-value").exception, Invalid)
    assert not platform.requests


def test_the_list_says_which_are_to_be_set_again(platform: Platform) -> None:
    lines = call("list").output.splitlines()
    assert "TOKEN" in lines[1]
    assert "set it again" not in lines[1]
    assert "set it again" in lines[2]
    assert '"readable": false' in call("list", "--json").output


def test_one_is_removed_by_its_name(platform: Platform) -> None:
    assert call("rm", "TOKEN").exit_code == 0
    assert platform.requests[0][:2] == ("DELETE", "/api/secrets/TOKEN")
