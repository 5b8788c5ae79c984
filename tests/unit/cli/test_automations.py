"""`autobot automation`, `run` and `runs`: what they ask of the platform, and how they end."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from autobot.cli import automations
from autobot.errors import AutoBotError

DOCUMENT = "name: job\nsteps:\n- id: a\n  use: llm.chat\n  with: {prompt: hello}\n"
KEPT = {"id": "job", "revision": 3, "draft": DOCUMENT, "published": True, "next": []}


class Platform:
    """Answers in the order of ``answers``; ``asked`` is what came."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, Any]] = []

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        self.asked.append((method, path, options.get("json", options.get("content"))))
        return self.answers.pop(0)


def call(monkeypatch: pytest.MonkeyPatch, platform: Platform, *words: str) -> Any:
    monkeypatch.setattr(automations, "_ask", platform.ask)
    monkeypatch.setattr(automations, "LOOK_EVERY_S", 0)
    app = typer.Typer()
    automations.register(app)
    return CliRunner().invoke(app, list(words))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(DOCUMENT)
    return path


def test_a_new_document_is_kept_and_published(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    platform = Platform([], KEPT, KEPT | {"next": ["2027-01-01T07:00:00+00:00"]})
    result = call(monkeypatch, platform, "automation", "apply", str(file))
    assert result.exit_code == 0, result.output
    assert "+name: job" in result.output
    assert "2027-01-01T07:00" in result.output
    assert platform.asked[1:] == [
        ("POST", "/api/automations", DOCUMENT),
        ("POST", "/api/automations/job/publish", {"revision": 3}),
    ]


def test_a_changed_document_replaces_the_revision_that_was_shown(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    before = KEPT | {"draft": DOCUMENT.replace("hello", "bye")}
    platform = Platform([KEPT], before, KEPT | {"revision": 4})
    result = call(monkeypatch, platform, "automation", "apply", "--draft", str(file))
    assert result.exit_code == 0, result.output
    assert "-  with: {prompt: bye}" in result.output
    assert platform.asked[-1] == ("PUT", "/api/automations/job?revision=3", DOCUMENT)


def test_the_same_document_again_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, file: Path
) -> None:
    platform = Platform([KEPT], KEPT)
    result = call(monkeypatch, platform, "automation", "apply", str(file))
    assert "is so already" in result.output
    assert [method for method, _, _ in platform.asked] == ["GET", "GET"]


def test_mistakes_are_told_as_compilers_do(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    file.write_text(DOCUMENT.replace("use:", "us:"))
    result = call(monkeypatch, Platform(), "automation", "validate", str(file))
    assert result.exit_code == 1
    assert f"{file}:4:3: steps[0].us: unknown key" in result.output


def test_a_run_that_fails_ends_the_command_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    step = {"status": "failed", "error": {"detail": "no page"}, "waits_for": None, "reason": None}
    end = {"state": "failed", "steps": {"a": step}, "error": {"detail": "no page"}}
    going = {"state": "running", "steps": {}, "error": None}
    platform = Platform({"id": "job-1", "state": "queued"}, going, end)
    words = ("run", "job", "--follow", "-i", "count=3", "-i", "city=Riga", "-i", 'all=["a"]')
    result = call(monkeypatch, platform, *words)
    assert result.exit_code == 1
    assert "a failed no page" in result.output
    assert platform.asked[0][2] == {"inputs": {"count": 3, "city": "Riga", "all": ["a"]}}


def test_runs_are_listed_by_automation_and_state(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": "job-1", "automation": "job", "state": "failed", "created": "2027"}]
    result = call(monkeypatch, Platform(rows), "runs", "--state", "failed", "--json")
    assert json.loads(result.output) == rows


def test_an_approval_is_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = Platform({}, {})
    assert call(monkeypatch, platform, "runs", "approve", "job-1", "ok").exit_code == 0
    assert call(monkeypatch, platform, "runs", "approve", "job-1", "ok", "--no").exit_code == 0
    path = "/api/runs/job-1/approvals/ok"
    assert platform.asked == [
        ("POST", path, {"approved": True}),
        ("POST", path, {"approved": False}),
    ]


def test_a_file_that_is_not_there_is_an_error_and_no_traceback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    result = call(monkeypatch, Platform(), "automation", "apply", str(tmp_path / "none.yaml"))
    assert result.exit_code == 1
    assert not isinstance(result.exception, OSError | AutoBotError)
