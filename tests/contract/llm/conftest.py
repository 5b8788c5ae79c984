"""The engines under contract: the fake, llama.cpp and a real Ollama server with a real model."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import ollama
import pytest
import pytest_asyncio

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import AutoBotError, Busy, Unavailable
from deployments.llm.chat.n_sampling import Answer, choices, collect
from deployments.llm.chat.service import ChatService
from deployments.llm.engine import Chat, ChatEngine, ChatEvent, ChatRequest, ModelCard
from deployments.llm.engines.fallback import FallbackEngine
from deployments.llm.engines.llamacpp.driver import LlamaCppEngine
from deployments.llm.engines.ollama.driver import OllamaEngine
from deployments.llm.fake import FakeEngine
from deployments.llm.models.registry import ModelFile
from tests import parts

SMALL = parts.SMALL_CHAT
CONTEXT = 512
FIND_OLLAMA = Path(__file__).parents[3] / "scripts" / "ollama.sh"
OLLAMA_NAME = "autobot-contract:latest"


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return as soon as `true` says so; fail after `seconds`."""
    for _ in range(int(seconds / 0.01)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds} s")


async def answer(service: ChatService, request: ChatRequest) -> Answer:
    """The whole answer to one request, as the routes read it."""
    (one,) = await collect(await choices(service, [request]), 1)
    return one


@dataclass(frozen=True)
class Subject:
    """An engine with one slot and one place to wait, a model of 512 tokens, and its queue."""

    engine: ChatEngine
    model: str
    limiter: ConcurrencyLimiter
    answers: str
    """The name of the engine that answers."""
    fallback: str | None = None
    """Why the one before it does not."""
    full: type[AutoBotError] = Busy
    """What a caller past the queue is told: several places' refusals are one `Unavailable`."""


class Away:
    """A place of a list that never answers."""

    name = "away"

    async def models(self) -> Sequence[ModelCard]:
        return []

    async def chat(self, request: ChatRequest) -> Chat[ChatEvent]:
        raise Unavailable("no power")

    async def close(self) -> None:
        return None


@pytest.fixture(scope="session")
def small_model() -> Path:
    """The smallest chat model's file."""
    return parts.path(SMALL)


@asynccontextmanager
async def _llamacpp(path: Path, log: Path) -> AsyncGenerator[Subject, None]:
    files = [ModelFile(SMALL, path, CONTEXT)]
    engine = LlamaCppEngine(lambda: files, log, slots=1, waiting=1, context=CONTEXT)
    try:
        yield Subject(engine, SMALL, engine.limiter, engine.name)
    finally:
        await engine.close()


@pytest.fixture(scope="session")
def ollama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Ollama server of our own, on a free port, with a models folder of its own."""
    found = subprocess.run([FIND_OLLAMA, "find"], capture_output=True, text=True)
    if found.returncode:
        if os.environ.get("AUTOBOT_REQUIRE_LAB") and shutil.which("go"):
            pytest.fail(f"`make ollama` builds one where there is Go: {found.stderr}")
        pytest.skip(found.stderr.strip())
    home = tmp_path_factory.mktemp("ollama")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    env = {**os.environ, "HOME": str(home), "OLLAMA_HOST": host, "OLLAMA_MODELS": str(home / "m")}
    with (home / "log").open("wb") as log:
        serve = [sys.executable, "-m", "autobot.supervise", "--", found.stdout.strip(), "serve"]
        child = subprocess.Popen(serve, env=env, stdout=log, stderr=log)
    try:
        for _ in range(300):
            with contextlib.suppress(httpx.HTTPError):
                httpx.get(f"http://{host}/api/version", timeout=1)
                break
            assert child.poll() is None, (home / "log").read_text()
            time.sleep(0.1)
        yield f"http://{host}"
    finally:
        child.terminate()
        child.wait(20)


@asynccontextmanager
async def imported(url: str, path: Path) -> AsyncGenerator[str, None]:
    """The small model in the server at `url`, under its name there."""
    client = ollama.AsyncClient(url)
    digest = await client.create_blob(path)
    await client.create(OLLAMA_NAME, files={path.name: digest}, template=parts.CHATML)
    try:
        yield OLLAMA_NAME
    finally:
        await client.delete(OLLAMA_NAME)
        await client.close()


@asynccontextmanager
async def _ollama(url: str, path: Path) -> AsyncGenerator[Subject, None]:
    async with imported(url, path) as name:
        engine = OllamaEngine(url, slots=1, waiting=1, context=CONTEXT)
        try:
            yield Subject(engine, name, engine.limiter, engine.name)
        finally:
            await engine.close()


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=["fake", "fallback", "llama.cpp", "ollama"]
)
async def subject(
    request: pytest.FixtureRequest, small_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Subject, None]:
    fake = FakeEngine(["fake"], context=CONTEXT, slots=1, waiting=1, token_s=0.005)
    if request.param == "fake":
        yield Subject(fake, "fake", fake.limiter, fake.name)
        return
    if request.param == "fallback":
        engine = FallbackEngine([Away(), fake], {"list": ["away/fake", "fake/fake"]})
        why = "away: no power"
        yield Subject(engine, "list", fake.limiter, fake.name, why, full=Unavailable)
        return
    log = tmp_path_factory.mktemp("engine") / "llama.cpp.log"
    if request.param == "ollama":
        url: str = request.getfixturevalue("ollama_url")
        opened = _ollama(url, small_model)
    else:
        opened = _llamacpp(small_model, log)
    async with opened as real:
        yield real
