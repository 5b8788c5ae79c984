"""A conversation that does not fit: what is dropped, and how often the engine is asked."""

import pytest

from autobot.errors import ContextLengthExceeded
from deployments.llm.chat.history import MOST_TRIES, History
from deployments.llm.engine import ChatMessage

CONTEXT = 100


def said(*words: int) -> tuple[ChatMessage, ...]:
    """A system message, and messages of so many words of five characters."""
    return (ChatMessage("system", "s"), *(ChatMessage("user", "word " * n) for n in words))


def trim(messages: tuple[ChatMessage, ...], tells: bool) -> tuple[History, int]:
    """Ask an engine that counts words until it takes what is kept; return how often."""
    history = History(messages)
    for asked in range(1, 100):
        tokens = sum(len(one.content.split()) + 4 for one in history.kept)
        if tokens < CONTEXT:
            return history, asked
        refused = ContextLengthExceeded("no", *((tokens, CONTEXT) if tells else ()))
        if not history.shorten(refused):
            raise refused
    raise AssertionError("it never ends")


def test_forty_messages_too_many_take_three_requests_and_no_more_are_dropped_than_must_be() -> None:
    messages = said(*[9] * 41)
    history, asked = trim(messages, tells=True)
    assert asked <= 3
    assert history.kept[0].role == "system"
    assert history.kept[-1] is messages[-1]
    fewer = 4 + 1 + 13 * (len(history.kept))  # one more of those dropped would not fit
    assert fewer >= CONTEXT


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("words", [[9] * 41, [1] * 40 + [90], [500] + [1] * 60, [90] * 3 + [5]])
def test_engine_is_asked_a_few_times_however_the_lengths_lie(words: list[int], tells: bool) -> None:
    history, asked = trim(said(*words), tells)
    assert asked <= MOST_TRIES + 1
    assert history.dropped


def test_what_cannot_fit_is_refused_with_the_last_and_the_system_kept() -> None:
    with pytest.raises(ContextLengthExceeded):
        trim(said(9, 9, 500), tells=True)
    assert not History(said(9)).shorten(ContextLengthExceeded("no", 200, CONTEXT))
