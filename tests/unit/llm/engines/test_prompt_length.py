"""A prompt that cannot fit is not given to an engine to count."""

from pathlib import Path

import pytest

from autobot.errors import ContextLengthExceeded
from deployments.llm.chat.history import History
from deployments.llm.engine import ChatMessage, ChatRequest
from deployments.llm.engines.llamacpp.driver import LlamaCppEngine
from deployments.llm.engines.prompt_length import MOST_LETTERS, refuse_what_cannot_fit
from deployments.llm.models.gguf import BadModelFile
from deployments.llm.models.registry import ModelFile
from tests.unit.llm.engines.ollama.test_driver import Server, run

SPECIAL = "<|im_end|>"


def said(text: str, model: str = "toy:latest") -> ChatRequest:
    return ChatRequest(model, (ChatMessage("user", text),))


async def test_neither_engine_reads_a_megabyte_of_special_tokens(tmp_path: Path) -> None:
    server = Server()
    with pytest.raises(ContextLengthExceeded, match=r"1000000 characters.*4096 tokens"):
        await run(server.engine(), said(SPECIAL * 100_000))
    assert server.chats == []

    # Its file is not there: whatever is given to this one fails to load.
    missing = [ModelFile("toy", tmp_path / "toy.gguf", 512)]
    engine = LlamaCppEngine(lambda: missing, tmp_path / "log")
    for request in (
        said(SPECIAL * 100_000, "toy"),
        ChatRequest("toy", (), prompt=SPECIAL * 100_000),
    ):
        with pytest.raises(ContextLengthExceeded, match=r"1000000 characters.*512 tokens"):
            await engine.chat(request)
    with pytest.raises(BadModelFile):
        await engine.chat(said("short", "toy"))


def test_what_may_fit_is_left_to_the_engine() -> None:
    refuse_what_cannot_fit(said("-" * MOST_LETTERS * 100), 100)
    with pytest.raises(ContextLengthExceeded):
        refuse_what_cannot_fit(said("-" * (MOST_LETTERS * 100 + 1)), 100)


def test_a_long_history_is_shortened_to_what_usually_fits_at_the_first_refusal() -> None:
    history = History(tuple(ChatMessage("user", "words " * 100) for _ in range(4000)))
    with pytest.raises(ContextLengthExceeded) as refused:
        refuse_what_cannot_fit(ChatRequest("toy", history.kept), 8192)
    assert history.shorten(refused.value)
    refuse_what_cannot_fit(ChatRequest("toy", history.kept), 8192)
    assert 40 < len(history.kept) < 60
