"""The typed form of catalogue.toml."""

import platform
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from autobot.catalogue.sources import File, Model, PyPIParts, RelativePath, Source
from autobot.errors import SetupError

Kind = Literal["chat", "embedding", "speech", "redis"]
CATALOGUE = Path(__file__).with_name("catalogue.toml")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def this_platform() -> str:
    """For example `linux-x86_64`."""
    machine = platform.machine().lower()
    return f"{sys.platform}-{_MACHINES.get(machine, machine)}"


class Entry(Model):
    """One model or part: what it is, its files, and the ordered sources that carry them."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")
    kind: Kind
    title: str
    licence: str = Field(min_length=3)
    folder: RelativePath = Field(description="below the cache")
    min_memory: int = Field(ge=0, description="bytes; from here on it may be the default")
    context: int | None = Field(None, gt=0, description="tokens")
    dimensions: int | None = Field(None, gt=0, description="of an embedding")
    ollama: str | None = Field(None, description="the same model's name in Ollama's library")
    platforms: tuple[str, ...] = Field((), description="empty: any")
    files: tuple[File, ...] = Field(min_length=1)
    sources: tuple[Source, ...] = Field(min_length=1)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def supported(self) -> bool:
        """Whether ``platforms`` names this machine's, or is empty."""
        return not self.platforms or this_platform() in self.platforms

    @model_validator(mode="after")
    def _sources_carry_all_files(self) -> Self:
        files = {file.path: file for file in self.files}
        for source in self.sources:
            if source.files() != set(files):
                raise ValueError(f"source {source.carrier} of {self.name} lacks or adds files")
            if isinstance(source, PyPIParts):
                sizes = [a.pieces[0].size for a in source.archives(files)]
                if min(sizes) <= 0 or sum(sizes) != files[source.file].size:
                    raise ValueError(f"the parts of {self.name} do not add up to its size")
        return self


class _Document(Model):
    entries: tuple[Entry, ...]

    @model_validator(mode="after")
    def _names_and_folders_differ(self) -> Self:
        for field in ("name", "folder"):
            values = [getattr(entry, field) for entry in self.entries]
            if twice := {v for v in values if values.count(v) > 1}:
                raise ValueError(f"{field} used twice: {', '.join(sorted(twice))}")
        return self


@cache
def load(path: Path = CATALOGUE) -> Mapping[str, Entry]:
    """Name -> entry, in the file's order. Raises SetupError when the file is not well-formed."""
    try:
        document = _Document.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as exc:
        raise SetupError(f"The catalogue {path.name} cannot be read: {exc}") from exc
    return {entry.name: entry for entry in document.entries}
