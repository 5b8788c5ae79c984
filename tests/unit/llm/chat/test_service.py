"""Names to engines; and which model is the default."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autobot.catalogue import Catalogue
from autobot.catalogue.entries import Entry
from autobot.errors import ModelNotFound
from autobot.settings import Settings
from deployments.llm.chat.service import ChatService
from deployments.llm.engine import ChatMessage, ChatRequest
from deployments.llm.fake import FakeEngine
from deployments.llm.models.registry import ModelRegistry
from tests.contract.llm.conftest import answer

ASK = (ChatMessage("user", "hello there"),)


def service(default: str | None = "b") -> ChatService:
    engines = [FakeEngine(["a", "b"]), FakeEngine(["b", "c:latest"])]
    return ChatService(engines, lambda: default)


async def test_every_model_is_listed_once() -> None:
    assert [card.name for card in await service().models()] == ["a", "b", "c:latest"]


@pytest.mark.parametrize(
    ("asked", "runs"), [("a", "a"), ("default", "b"), ("c", "c:latest"), ("c:latest", "c:latest")]
)
async def test_name_finds_its_model_and_the_answer_says_which(asked: str, runs: str) -> None:
    whole = await answer(service(), ChatRequest(asked, ASK, max_tokens=2))
    assert whole.start.model == runs
    assert whole.text == "1 2 "
    assert whole.finish.prompt_tokens == 2


async def test_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ModelNotFound, match="There are: a, b, c:latest"):
        await service().model("d")


async def test_default_without_any_model_says_what_to_do() -> None:
    with pytest.raises(ModelNotFound, match="autobot models pull"):
        await service(None).model("default")


async def test_reader_that_stops_early_frees_the_slot_at_once() -> None:
    engine = FakeEngine(["a"], slots=1, waiting=0)
    chat = await ChatService([engine], lambda: "a").chat(ChatRequest("a", ASK))
    await anext(chat)
    assert engine.limiter.running == 1
    await chat.aclose()
    assert engine.limiter.running == 0


def entry(name: str, min_memory: int) -> Entry:
    file = {"path": f"{name}.gguf", "size": 3, "sha256": "0" * 64}
    source = {
        "carrier": "hugging-face",
        "repo": "a/b",
        "revision": "c",
        "paths": {file["path"]: "x"},
    }
    return Entry.model_validate(
        {
            "name": name,
            "kind": "chat",
            "title": name,
            "licence": "MIT",
            "folder": f"models/{name}",
            "min_memory": min_memory,
            "context": 100,
            "files": [file],
            "sources": [source],
        }
    )


@pytest.fixture
def registry(tmp_path: Path) -> Callable[..., ModelRegistry]:
    entries = {one.name: one for one in (entry("small", 0), entry("medium", 1), entry("large", 2))}

    def make(*installed: str, chosen: str | None = None) -> ModelRegistry:
        for name in installed:
            folder = tmp_path / "models" / name
            folder.mkdir(parents=True)
            (folder / f"{name}.gguf").write_bytes(b"abc")
        settings = Settings.model_validate({"cache": tmp_path, "default_chat_model": chosen})
        return ModelRegistry(settings, Catalogue(tmp_path, entries))

    return make


def test_default_is_the_most_capable_model_this_machine_can_run(
    registry: Callable[..., ModelRegistry],
) -> None:
    assert registry("small", "large").default() == "large"


def test_default_is_the_best_that_is_here_when_the_best_is_not(
    registry: Callable[..., ModelRegistry],
) -> None:
    assert registry("small", "medium").default() == "medium"


def test_default_the_owner_chose_is_never_replaced(registry: Callable[..., ModelRegistry]) -> None:
    assert registry("small", chosen="llama3:70b").default() == "llama3:70b"


def test_no_model_means_no_default(registry: Callable[..., ModelRegistry]) -> None:
    assert registry().default() is None


def test_library_lists_what_is_installed_with_its_file(
    registry: Callable[..., ModelRegistry],
) -> None:
    files = registry("small").files()
    assert [(file.name, file.path.name, file.context) for file in files] == [
        ("small", "small.gguf", 100)
    ]
