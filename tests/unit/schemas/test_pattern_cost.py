"""What a pattern costs is read off it, whatever it is."""

import pytest

from autobot.schemas.pattern_cost import LOOKING, steps_a_letter


@pytest.mark.parametrize(
    ("pattern", "steps"),
    [
        ("", 1),
        ("^abc$", 1),
        ("abc", 4),
        (r"^.{1,2000}$", 1),
        (r"^\d{4}-\d{2}$", 7),
        (r"^\p{L}{20}x$", 21),
        (r"^[\]{9}]{5}x$", 6),
        (r"^\({5}$", 1),
        ("^(?:(?:a?){1000}){100}b$", 100_001),
        ("^(?:ab|c){10}$", 31),
        (r"^(?=.*\d).{8,}$", 10 * LOOKING),
        (r"^(?<n>a)\k<n>$", LOOKING),
        ("((", 1),
        ("^" + "(" * 1000 + "a" + "){9}" * 1000, 10**9),
    ],
)
def test_repetitions_are_written_out(pattern: str, steps: int) -> None:
    assert steps_a_letter(pattern) == steps
