"""The engines under contract: the fake, llama.cpp with a real model, and Ollama when it answers."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import ollama
import pytest
import pytest_asyncio

from autobot.catalogue import Catalogue
from autobot.settings import Settings
from deployments.llm.driver_llamacpp import LlamaCppEngine, ModelFile
from deployments.llm.driver_ollama import OllamaEngine
from deployments.llm.engine import ChatEngine
from deployments.llm.fake import FakeEngine
from deployments.llm.gate import Gate

SMALL = "smollm2-135m-instruct"
CONTEXT = 512
OLLAMA_NAME = "autobot-contract:latest"


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as `true` says so; fail after `seconds`."""
    for _ in range(int(seconds / 0.01)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds} s")


@dataclass(frozen=True)
class Subject:
    """An engine with one slot and one place to wait, a model of 512 tokens, and its gate."""

    engine: ChatEngine
    model: str
    gate: Gate


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def small_model() -> Path:
    """The smallest chat model's file, fetched when this machine has not got it yet."""
    catalogue = Catalogue(Settings().cache)
    return await catalogue.fetch(SMALL)


@asynccontextmanager
async def _llamacpp(path: Path, log: Path) -> AsyncGenerator[Subject, None]:
    files = [ModelFile(SMALL, path, CONTEXT)]
    engine = LlamaCppEngine(lambda: files, log, slots=1, waiting=1, context=CONTEXT)
    try:
        yield Subject(engine, SMALL, engine.gate)
    finally:
        await engine.close()


@asynccontextmanager
async def _ollama(path: Path) -> AsyncGenerator[Subject, None]:
    url = Settings().ollama_url
    scout = OllamaEngine(url)
    await scout.models()
    await scout.close()
    if scout.reason:
        pytest.skip(scout.reason)
    client = ollama.AsyncClient(url)
    digest = await client.create_blob(path)
    await client.create(OLLAMA_NAME, files={path.name: digest})
    engine = OllamaEngine(url, slots=1, waiting=1, context=CONTEXT)
    try:
        yield Subject(engine, OLLAMA_NAME, engine.gate)
    finally:
        await client.delete(OLLAMA_NAME)
        await client.close()
        await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["fake", "llama.cpp", "ollama"])
async def subject(
    request: pytest.FixtureRequest, small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Subject, None]:
    if request.param == "fake":
        engine = FakeEngine(["fake"], context=CONTEXT, slots=1, waiting=1, token_s=0.005)
        yield Subject(engine, "fake", engine.gate)
        return
    log = tmp_path_factory.mktemp("engine") / "llama.cpp.log"
    opened = _ollama(small_model) if request.param == "ollama" else _llamacpp(small_model, log)
    async with opened as real:
        yield real
