"""How long Ollama's clients may ask a model to stay."""

import pytest
from pydantic import ValidationError

from deployments.llm.ollama_api.schemas import LONGEST_S, GenerateRequest


def stay(value: object) -> float | None:
    return GenerateRequest.model_validate({"model": "m", "keep_alive": value}).keep_alive


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, None), (0, 0), ("5m", 300), ("1h30m", 5400), ("-1s", -1), (-1, -1), ("90", 90)],
)
def test_stay_is_a_duration_or_seconds(asked: object, seconds: float | None) -> None:
    assert stay(asked) == seconds


@pytest.mark.parametrize("asked", [LONGEST_S * 2, 1e300, "9999999999h"])
def test_longer_than_any_calendar_is_for_ever(asked: object) -> None:
    kept = stay(asked)
    assert kept is not None
    assert kept < 0


@pytest.mark.parametrize("asked", ["soon", [], {}, float("nan"), float("inf"), "9" * 400])
def test_what_is_no_time_is_refused(asked: object) -> None:
    with pytest.raises(ValidationError):
        stay(asked)
