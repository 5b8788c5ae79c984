"""OpenAI-shaped streams as servers of different makes write them."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from autobot.errors import Unavailable
from deployments.llm.engine import Delta, Finish, TokenLogprob
from deployments.llm.engines.openai_events import read_events

END: list[dict[str, Any]] = [
    {"choices": [{"text": "", "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
]


async def read(*chunks: dict[str, Any]) -> list[Delta | Finish]:
    async def pieces() -> AsyncGenerator[bytes, None]:
        for chunk in chunks:
            yield f"data: {json.dumps(chunk)}\n\n".encode()

    return [event async for event in read_events(pieces(), "far")]


async def test_logprobs_of_raw_completions_are_lists_side_by_side() -> None:
    value = {
        "tokens": ["Hel", "lo"],
        "token_logprobs": [-0.5, -1.5],
        "top_logprobs": [{"Hel": -0.5, "Ho": -2.0}, None],
        "text_offset": [0, 3],
    }
    delta, finish = await read({"choices": [{"text": "Hello", "logprobs": value}]}, *END)
    others = (TokenLogprob("Hel", -0.5), TokenLogprob("Ho", -2.0))
    assert delta == Delta("Hello", (TokenLogprob("Hel", -0.5, others), TokenLogprob("lo", -1.5)))
    assert finish == Finish("stop", 3, 2)


async def test_logprobs_of_raw_completions_may_come_without_alternatives() -> None:
    value = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": None}
    delta, _ = await read({"choices": [{"text": "a", "logprobs": value}]}, *END)
    assert delta == Delta("a", (TokenLogprob("a", -0.5),))


async def test_logprobs_of_chats_may_be_null() -> None:
    choice = {"delta": {"content": "a"}, "logprobs": {"content": None}}
    assert (await read({"choices": [choice]}, *END))[0] == Delta("a")


@pytest.mark.parametrize("error", [{"message": "no power"}, "no power"])
async def test_an_error_in_the_stream_is_told_in_whichever_form_it_comes(error: Any) -> None:
    with pytest.raises(Unavailable, match="far stopped: no power"):
        await read({"error": error})


async def test_an_error_of_null_is_none() -> None:
    choice = {"text": "a", "finish_reason": None}
    assert (await read({"choices": [choice], "error": None}, *END))[0] == Delta("a")
