"""What an engine may be asked to look for after each token."""

import pytest
from pydantic import ValidationError

from deployments.llm.chat.schemas import MOST_STOP_LETTERS, ChatCompletionRequest
from deployments.llm.ollama_api.schemas import MOST_STOPS, OllamaChatRequest

SAID = [{"role": "user", "content": "hello"}]


def test_many_short_stop_sequences_are_taken_and_many_long_ones_are_not() -> None:
    short = ["x" * (MOST_STOP_LETTERS // MOST_STOPS)] * MOST_STOPS
    asked = OllamaChatRequest.model_validate(
        {"model": "m", "messages": SAID, "options": {"stop": short}}
    )
    assert len(asked.to_engine().stop) == MOST_STOPS
    long = ["b" + "a" * 999] * MOST_STOPS
    with pytest.raises(ValidationError, match="more than 16384 letters together"):
        OllamaChatRequest.model_validate(
            {"model": "m", "messages": SAID, "options": {"stop": long}}
        )


def test_four_of_the_longest_are_taken() -> None:
    asked = {"model": "m", "messages": SAID, "stop": ["a" * 1000] * 4}
    assert len(ChatCompletionRequest.model_validate(asked).to_engine().stop) == 4
