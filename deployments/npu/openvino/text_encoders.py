"""The text encoders on this machine: those of the catalogue, and int8 forms made of them here."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from autobot.catalogue import Catalogue
from autobot.errors import ModelNotFound, Unavailable
from autobot.settings import Settings

INT8 = "-int8"
MANIFEST = "quantised.json"


@dataclass(frozen=True, slots=True)
class Found:
    """A model's own name, the folder with its graph and tokenizer, the longest text it reads."""

    name: str
    folder: Path
    max_tokens: int


class TextEncoders:
    """Names -> folders. An int8 form has a name of its own: its vectors are not quite the same."""

    def __init__(self, settings: Settings) -> None:
        self._catalogue = Catalogue(settings.cache)
        self._quantised = settings.models_dir / "int8"
        # Chosen once: vectors of two models do not mix, so `default` may not change underway.
        self.default = settings.default_embedding_model or self._catalogue.default(
            "embedding", psutil.virtual_memory().total
        )

    def installed(self) -> list[str]:
        """Return the names that are here: the catalogue's models, then int8 forms made of them."""
        names = [entry.name for entry in self._catalogue.installed("embedding")]
        forms = [name + INT8 for name in names]
        return [*names, *(form for form in forms if (self.int8_folder(form) / MANIFEST).exists())]

    def find(self, name: str) -> Found:
        """Raise `ModelNotFound` for what is unknown, not on this machine or of another kind."""
        source = name.removesuffix(INT8)
        entry = self._catalogue.entry(source)
        if entry.kind != "embedding":
            raise ModelNotFound(f"{entry.name} is a {entry.kind} model: it makes no embeddings.")
        folder = self._catalogue.path(source)
        if name != source:
            folder = self.int8_folder(name)
            if not (folder / MANIFEST).exists():
                raise ModelNotFound(
                    f"{name} is not on this machine: make it with "
                    f"`python -m deployments.npu.openvino.quantise {source}`."
                )
        return Found(name, folder, entry.context or 512)

    def verified(self, name: str) -> Found:
        """As `find`; raise `Unavailable` when an int8 form is damaged or out of date."""
        found = self.find(name)
        if name.endswith(INT8):
            for complaint in self._complaints(found):
                raise Unavailable(f"{name} {complaint}: make it again.")
        return found

    def int8_folder(self, name: str) -> Path:
        """Return where the form called ``name`` belongs, whether or not it is there."""
        return self._quantised / name

    def source_digest(self, source: str) -> str:
        """sha256 of the catalogue's graph that an int8 form of ``source`` is made of."""
        files = self._catalogue.entry(source).files
        return next(file.sha256 for file in files if file.path == "model.onnx")

    def _complaints(self, found: Found) -> Iterator[str]:
        manifest = json.loads((found.folder / MANIFEST).read_text())
        if manifest["source_sha256"] != self.source_digest(found.name.removesuffix(INT8)):
            yield "was made of another version of its model"
        for file, digest in manifest["sha256"].items():
            if sha256(found.folder / file) != digest:
                yield f"has a damaged {file}"


def sha256(file: Path) -> str:
    """Return the hexadecimal digest of the whole file. Blocks."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
