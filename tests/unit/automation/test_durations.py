"""Lengths of time: read as a person writes them, and never cut."""

import pytest
from pydantic import ValidationError

from autobot.automation.document import Retry
from autobot.automation.durations import seconds, written


@pytest.mark.parametrize(
    ("text", "expected"), [("90s", 90), ("1h30m", 5_400), ("30d", 2_592_000), ("2m", 120)]
)
def test_a_length_of_time_that_is_written_is_whole_seconds(text: str, expected: int) -> None:
    assert seconds(text) == expected
    assert written(expected) == text.replace("90s", "1m30s")


@pytest.mark.parametrize("text", ["", "90", "1.5s", "2 h", "1m1h", "-1s"])
def test_other_texts_are_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="written as 90s"):
        seconds(text)


def test_parts_of_a_second_are_never_cut() -> None:
    assert seconds(0.9) == 0.9
    with pytest.raises(ValidationError, match="integer"):
        Retry(wait=1.5)  # type: ignore[arg-type]
