"""Tests know nothing of the developer's own platform."""

from pathlib import Path

from autobot.settings import default_home


def test_no_test_reads_the_developers_own_home() -> None:
    assert default_home() not in (Path.home() / ".autobot", *Path.home().parents)
