"""Prompts that are refused by their letters alone, before an engine counts their tokens.

llama.cpp takes quadratic time for a text of special tokens (a megabyte of ``<|im_end|>``: 16 s, 30
of them: hours), in a thread that does not notice when its caller has gone.
"""

from autobot.errors import ContextLengthExceeded
from deployments.llm.engine import ChatRequest

MOST_LETTERS = 32
"""For each token of the context. English has 4 to 5; only long runs of one sign have more."""
USUAL_LETTERS = 4


def refuse_what_cannot_fit(request: ChatRequest, context: int) -> None:
    """Raises `ContextLengthExceeded`, whose number of tokens is a guess."""
    letters = len(request.prompt or "") + sum(len(one.content) for one in request.messages)
    if letters > MOST_LETTERS * context:
        raise ContextLengthExceeded(
            f"The prompt has {letters} characters, more than {MOST_LETTERS} for each of the "
            f"{context} tokens of the context of '{request.model}'.",
            letters // USUAL_LETTERS,
            context,
        )
