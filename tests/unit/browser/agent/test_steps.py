"""What counts as a decision, whoever decodes it."""

from typing import Any

import pytest
from pydantic import ValidationError

from deployments.browser.agent.steps import Decision, Do


@pytest.mark.parametrize(
    "said",
    [
        {"reached": False},
        {"reached": True},
        {"reached": True, "answer": ""},
        {"reached": True, "action": {"kind": "back"}},
        {"reached": False, "answer": "ORD-1"},
    ],
)
def test_one_without_its_answer_or_its_action_is_none(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="it has no"):
        Decision.model_validate({"seen": "a page", "next": said})


def test_an_answer_and_an_action_are_both_a_step() -> None:
    answer = Decision.model_validate({"next": {"reached": True, "answer": "ORD-1"}})
    action = Decision.model_validate({"next": {"reached": False, "action": {"kind": "back"}}})
    assert answer.next.step == Do(kind="done", text="ORD-1")
    assert action.next.step == Do(kind="back")
