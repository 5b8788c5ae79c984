"""Nothing is fetched into the cache while VMs or a platform look at it."""

import re
from pathlib import Path

import pytest

from tests import parts

TESTS = Path(parts.__file__).parent
FETCHES = re.compile(r"Catalogue\((Settings\(\)|settings)\.cache")


def test_only_the_list_of_parts_fetches_into_the_machines_cache() -> None:
    others = [
        file for file in TESTS.rglob("*.py") if file not in (Path(parts.__file__), Path(__file__))
    ]
    fetching = [
        str(file.relative_to(TESTS))
        for file in others
        if FETCHES.search(text := file.read_text()) and ".fetch(" in text
    ]
    assert fetching == []


def test_a_part_that_is_not_fetched_beforehand_is_not_fetched_later() -> None:
    with pytest.raises(AssertionError, match=r"qwen2\.5-coder-0\.5b.* is not in tests/parts"):
        parts.path("qwen2.5-coder-0.5b-instruct")
