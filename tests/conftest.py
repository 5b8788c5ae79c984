"""Which tests follow one another in one process, when there are several: see the Makefile."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TOGETHER = ("cluster", "e2e", "contract")
"""What shares something costly to start: a lab, a platform, an engine."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item.path.relative_to(HERE))))


def group_of(file: Path) -> str:
    """The lab's and the platform's tests are one group each, of contracts each folder is one, and
    each file of the others."""
    kind, *inner = file.parts
    if kind not in TOGETHER:
        return str(file)
    return f"{kind}/{inner[0]}" if kind == "contract" else kind
