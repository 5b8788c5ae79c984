"""The GGUF files of this machine's catalogue, and which of them is `default`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from autobot.catalogue import Catalogue
from autobot.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A GGUF file an engine may load. `context` is what the model was trained for, in tokens."""

    name: str
    path: Path
    context: int
    sha256: str = ""
    details: Mapping[str, str] = field(default_factory=dict[str, str])


class ModelRegistry:
    """Looks at the disk each time: a model pulled a moment ago can be used at once."""

    def __init__(self, settings: Settings, catalogue: Catalogue | None = None) -> None:
        self.catalogue = catalogue or Catalogue(settings.cache)
        self._chosen = settings.default_chat_model

    def files(self) -> Sequence[ModelFile]:
        """The chat models that are installed now. Context and digest are as the catalogue says."""
        return [
            ModelFile(
                entry.name,
                self.catalogue.path(entry.name),
                entry.context or 0,
                entry.files[0].sha256,
                {"format": "gguf", "quantization_level": entry.title.rpartition(", ")[2]},
            )
            for entry in self.catalogue.installed("chat")
        ]

    def default(self) -> str | None:
        """The owner's choice; else the catalogue's for this machine's memory, when it is here;
        else the most capable model that is; None when there is none."""
        if self._chosen:
            return self._chosen
        best = self.catalogue.default("chat", psutil.virtual_memory().total)
        here = self.catalogue.installed("chat")
        if any(entry.name == best for entry in here):
            return best
        return max(here, key=lambda entry: entry.min_memory).name if here else None
