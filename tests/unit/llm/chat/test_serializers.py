"""OpenAI's usage: what of all prompts was read, and what of that was cached."""

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest

from deployments.llm.chat.n_sampling import Indexed
from deployments.llm.chat.serializers import Chunks, usage
from deployments.llm.engine import Chat, Finish, Start

ENDS = [Finish("stop", 10, 1, 4), Finish("stop", 10, 2, 9), Finish("stop", 20, 3, 8)]


@pytest.mark.parametrize(
    ("finishes", "per_prompt", "prompt", "cached"),
    [
        (ENDS[:1], None, 10, 4),
        (ENDS[:2], None, 10, 4),  # two choices of one prompt
        (ENDS, 1, 40, 21),  # three prompts
        ([*ENDS[:2], ENDS[2], ENDS[2]], 2, 30, 12),  # two choices of two prompts
    ],
)
def test_cached_tokens_are_counted_of_the_same_prompts_as_the_prompt_tokens(
    finishes: list[Finish], per_prompt: int | None, prompt: int, cached: int
) -> None:
    counts = usage(finishes, per_prompt)
    assert counts.prompt_tokens == prompt
    assert counts.prompt_tokens_details.cached_tokens == cached
    assert counts.completion_tokens == sum(finish.completion_tokens for finish in finishes)


async def test_a_streams_usage_does_not_depend_on_which_choice_ends_first() -> None:
    async def events() -> AsyncGenerator[Indexed, None]:
        yield 1, ENDS[1]
        yield 0, ENDS[0]

    start = Start("m", "e", "CPU")
    pieces = [
        piece
        async for piece in Chunks(start, 2, wants_usage=True).of(
            Chat(start, events(), AsyncExitStack())
        )
    ]
    last = json.loads(pieces[-2].removeprefix(b"data: "))
    assert last["usage"]["prompt_tokens_details"]["cached_tokens"] == 4
