"""The catalogue that ships, and how a default is chosen from it."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from autobot.catalogue import Catalogue
from autobot.catalogue.entries import load
from autobot.catalogue.sources import HuggingFace
from autobot.errors import ModelNotFound, SetupError
from tests.unit.catalogue.fakes import PART, FakeRegistry, content, entry_of, parts_source

GIB = 1 << 30
ENTRIES = list(load().values())


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_every_entry_says_what_it_is_and_where_it_comes_from(entry) -> None:
    assert all(re.fullmatch("[0-9a-f]{64}", file.sha256) for file in entry.files)
    assert len({file.path for file in entry.files}) == len(entry.files)
    assert entry.size > 50_000_000 or entry.kind == "redis"
    assert entry.licence
    assert entry.kind in ("redis", "speech") or entry.context
    assert (entry.kind == "embedding") == (entry.dimensions is not None)
    assert entry.folder in (f"models/{entry.name}", entry.name)


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kind != "redis"], ids=lambda e: e.name)
def test_every_model_has_a_registry_and_the_usual_source(entry) -> None:
    carriers = [source.carrier for source in entry.sources]
    assert carriers[0] in ("pypi", "pypi-parts", "npm")
    assert carriers[-1] == "hugging-face"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_the_pieces_of_every_source_cover_its_files_exactly(entry) -> None:
    files = {file.path: file for file in entry.files}
    for source in entry.sources:
        if isinstance(source, HuggingFace):
            continue
        covered = dict.fromkeys(files, 0)
        for archive in source.archives(files):
            for piece in archive.pieces:
                assert piece.offset == covered[piece.file]
                covered[piece.file] += piece.size
        assert covered == {path: file.size for path, file in files.items()}


@pytest.mark.parametrize(
    ("memory", "name"),
    [
        (24 * GIB, "qwen2.5-coder-1.5b-instruct"),
        (6_000_000_000, "qwen2.5-coder-1.5b-instruct"),
        (5_999_999_999, "qwen2.5-coder-0.5b-instruct"),
        (2_000_000_000, "qwen2.5-coder-0.5b-instruct"),
        (1_999_999_999, "smollm2-135m-instruct"),
        (0, "smollm2-135m-instruct"),
    ],
)
def test_the_default_chat_model_follows_the_memory(
    catalogue: Catalogue, memory: int, name: str
) -> None:
    assert catalogue.default("chat", memory) == name


def test_the_default_embedding_model_follows_the_memory(catalogue: Catalogue) -> None:
    assert catalogue.default("embedding", 4 * GIB) == "gte-small"
    assert catalogue.default("embedding", GIB // 2) == "all-minilm-l6-v2"


def test_the_least_demanding_is_the_default_when_nothing_fits(tmp_path: Path) -> None:
    registry = FakeRegistry()
    source = parts_source(registry, content(2))
    files = {"model.gguf": content(2)}
    entries = [entry_of(files, source, name=f"m{n}", min_memory=n) for n in (30, 20, 10)]
    catalogue = Catalogue(tmp_path, {e.name: e for e in entries})
    assert catalogue.default("chat", 5) == "m10"
    assert catalogue.default("chat", 25) == "m20"


def test_a_default_never_names_an_entry_for_another_platform(tmp_path: Path) -> None:
    source = parts_source(FakeRegistry(), content(2))
    entry = entry_of({"model.gguf": content(2)}, source, platforms=["plan9-mips"])
    with pytest.raises(ModelNotFound, match="no chat entry"):
        Catalogue(tmp_path, {"toy": entry}).default("chat", GIB)


def test_an_unknown_name_lists_the_known_ones(catalogue: Catalogue) -> None:
    with pytest.raises(ModelNotFound, match=r"no 'gpt-17'.*gte-small"):
        catalogue.entry("gpt-17")


def test_a_model_that_is_not_here_names_the_command_that_brings_it(catalogue: Catalogue) -> None:
    with pytest.raises(ModelNotFound, match="autobot models pull gte-small"):
        catalogue.path("gte-small")


def test_names_are_listed_by_kind(catalogue: Catalogue) -> None:
    assert catalogue.names("redis") == ["redis-stack"]
    assert catalogue.names("embedding") == ["gte-small", "all-minilm-l6-v2"]
    assert len(catalogue.names()) == len(ENTRIES)


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", ""])
def test_a_file_cannot_leave_its_folder(path: str) -> None:
    source = parts_source(FakeRegistry(), content(2)) | {"file": path}
    with pytest.raises(ValidationError, match="leaves the entry's folder"):
        entry_of({path: content(2)}, source)


def test_a_source_that_lacks_a_file_is_not_accepted() -> None:
    source = parts_source(FakeRegistry(), content(2))
    with pytest.raises(ValidationError, match="lacks or adds files"):
        entry_of({"model.gguf": content(2), "tokenizer.json": b"{}"}, source)


def test_parts_that_do_not_add_up_are_not_accepted() -> None:
    source = parts_source(FakeRegistry(), content(3))
    with pytest.raises(ValidationError, match="do not add up"):
        entry_of({"model.gguf": content(4)}, source | {"part_size": PART})


def test_a_malformed_catalogue_names_the_field(tmp_path: Path) -> None:
    broken = tmp_path / "mine.toml"
    broken.write_text('[[entries]]\nname = "UPPER"\n')
    with pytest.raises(SetupError, match=r"mine\.toml(?s:.*)entries\.0\.name"):
        load(broken)
