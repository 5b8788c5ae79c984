"""docs/settings.md is what its generator writes, on every machine."""

from pathlib import Path

import pytest

from autobot.settings import Settings
from scripts import settings_page


def test_the_page_is_what_the_generator_writes() -> None:
    told = "run `python scripts/settings_page.py`"
    assert settings_page.PAGE.read_text() == settings_page.page(), told


def test_every_setting_has_one_row_that_says_what_it_means() -> None:
    rows = [line for line in settings_page.page().splitlines() if line.startswith("| `AUTOBOT_")]
    for name, field in Settings.model_fields.items():
        mine = [row for row in rows if row.startswith(f"| `AUTOBOT_{name.upper()}` |")]
        assert len(mine) == 1, name
        assert field.description, name
        assert field.description.rstrip(".") in mine[0]


def test_what_is_described_is_a_setting() -> None:
    assert settings_page.DESCRIBED.keys() <= Settings.model_fields.keys()


def test_no_default_is_evaluated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = settings_page.page()
    for variable in ("HOME", "AUTOBOT_HOME", "AUTOBOT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert settings_page.page() == before
    assert str(tmp_path) not in before
