"""Promises about an answer's form, seeds and silence, on the real embedded engine."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from autobot.errors import NotKept, Unavailable
from autobot.schemas.json_schema import checked
from deployments.llm.chat.service import ChatService
from deployments.llm.engine import ChatMessage, ChatRequest
from deployments.llm.engines.llamacpp.driver import LlamaCppEngine
from deployments.llm.engines.llamacpp.watchdog import Watchdog
from deployments.llm.models.registry import ModelFile
from tests.contract.llm.conftest import SMALL, answer, until
from tests.unit.llm.grammar.schemas_of_keywords import HELD, LATER

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(600)]

SCHEMAS = HELD | {name: schema for name, (schema, _) in LATER.items()}
ENDLESS = {"minLength", "minItems", "minProperties", "minimum", "maximum", "multipleOf"}
"""No small model writes five thousand items, nor a number of 300 digits."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(
    small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[LlamaCppEngine, None]:
    files = [ModelFile(SMALL, small_model, 1024)]
    log = tmp_path_factory.mktemp("engine") / "llama.cpp.log"
    made = LlamaCppEngine(lambda: files, log, slots=2, context=1024)
    yield made
    await made.close()


def ask(text: str, **values: Any) -> ChatRequest:
    asked = ChatRequest(SMALL, (ChatMessage("user", text),), max_tokens=40)
    return replace(asked, **values)


async def say(engine: LlamaCppEngine, text: str, **values: Any) -> str:
    service = ChatService([engine], lambda: SMALL)
    return (await answer(service, ask(text, **values))).text


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name not in ENDLESS])
async def test_what_is_answered_is_valid_cut_or_refused(engine: LlamaCppEngine, name: str) -> None:
    schema = SCHEMAS[name]
    service = ChatService([engine], lambda: SMALL)
    request = ask("Give an example as JSON.", schema=schema, seed=3)
    try:
        whole = await answer(service, request)
    except NotKept:
        assert name in LATER, "a whole grammar lets nothing else through"
        return
    if whole.finish.reason == "stop":
        assert checked(schema, "schema").fault(json.loads(whole.text)) == ""


async def test_an_ambiguous_pattern_holds_nobody_up(engine: LlamaCppEngine) -> None:
    hostile = {"type": "string", "pattern": "^" + "(a?|b?)" * 100 + "$"}
    await say(engine, "Hello", max_tokens=1)
    async with asyncio.timeout(60):  # it was seven minutes
        answers = await asyncio.gather(
            say(engine, "Say a and b.", schema=hostile), say(engine, "Hello", max_tokens=5)
        )
    assert set(answers[0]) <= set('ab"')
    assert answers[1]


async def test_one_seed_gives_one_answer_however_much_of_the_prompt_is_cached(
    engine: LlamaCppEngine,
) -> None:
    text = "The sea is wide and blue. " * 12 + "Tell me a story."
    values = {"seed": 11, "temperature": 1.2, "max_tokens": 32}
    first = await say(engine, text, **values)
    again = await say(engine, text, **values)
    await say(engine, "The sea is wide and blue. " * 12 + "What is red?", max_tokens=2)
    after = await say(engine, text, **values)
    assert first == again == after


async def fingerprint(engine: LlamaCppEngine, **values: Any) -> str:
    service = ChatService([engine], lambda: SMALL)
    return (await answer(service, ask("Hello", **values))).finish.fingerprint or ""


async def test_the_fingerprint_is_the_same_for_chats_that_ran_alone_only(
    engine: LlamaCppEngine,
) -> None:
    alone = [await fingerprint(engine, max_tokens=4) for _ in range(2)]
    beside = await asyncio.gather(*(fingerprint(engine, max_tokens=20) for _ in range(2)))
    assert alone[0] == alone[1] == await fingerprint(engine, max_tokens=4)
    assert len({*alone, *beside}) == 3
    assert all(one.startswith(f"{alone[0]}_shared_") for one in beside)


async def test_an_engine_that_hangs_is_ended_and_loaded_again(engine: LlamaCppEngine) -> None:
    await say(engine, "Hello", max_tokens=1)
    process = engine.loaded(SMALL)
    assert process
    await process.watchdog.close()
    process.watchdog = Watchdog(process, process.slots, 3.0, period_s=0.2)
    chat = await engine.chat(ask("Tell me a long story.", max_tokens=500))
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="no progress"):
        async for _ in chat:
            pass
    assert await say(engine, "Hello", max_tokens=2)


async def test_an_engine_that_hangs_without_a_reader_is_ended_too(engine: LlamaCppEngine) -> None:
    await say(engine, "Hello", max_tokens=1)
    process = engine.loaded(SMALL)
    assert process
    await process.watchdog.close()
    process.watchdog = Watchdog(process, process.slots, 3.0, period_s=0.2)
    chat = await engine.chat(ask("Tell me a long story.", max_tokens=500))
    os.kill(process.pid, signal.SIGSTOP)
    await chat.aclose()
    await until(lambda: not process.alive, 20)
    assert await say(engine, "Hello", max_tokens=2)
