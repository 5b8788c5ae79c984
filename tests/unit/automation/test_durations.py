"""Lengths of time: read as a person writes them, and never cut."""

from typing import Any

import pytest

from autobot.automation.durations import seconds, written


@pytest.mark.parametrize(
    ("value", "expected"),
    [("90s", 90), ("1h30m", 5_400), ("30d", 2_592_000), (7, 7), (2.0, 2)],
)
def test_a_length_of_time_is_whole_seconds(value: Any, expected: int) -> None:
    assert seconds(value) == expected
    assert type(seconds(value)) is int
    assert seconds(written(expected)) == expected


@pytest.mark.parametrize("value", [0.9, 1.5, float("nan"), float("inf"), -0.5])
def test_parts_of_a_second_are_refused_and_not_cut(value: float) -> None:
    with pytest.raises(ValueError, match="whole number of seconds"):
        seconds(value)
