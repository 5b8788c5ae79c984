"""Texts that are kept compiled, as many as their size allows."""

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

MOST_LETTERS = 1 << 18
"""Of all texts that are kept; compiled, a letter takes 60 to 80 bytes."""

Template = TypeVar("Template")


class TemplateCache(Generic[Template]):
    """Templates by their text: those used last, up to `MOST_LETTERS` together."""

    def __init__(self) -> None:
        self.letters = 0
        self._templates: OrderedDict[str, Template] = OrderedDict()
        self._lock = Lock()

    def get(self, text: str) -> Template | None:
        """Return the text's template, if it is kept."""
        with self._lock:
            if text in self._templates:
                self._templates.move_to_end(text)
            return self._templates.get(text)

    def keep(self, text: str, template: Template) -> None:
        """Keep it, and let go of what was not used for longest."""
        with self._lock:
            if text not in self._templates:
                self.letters += len(text)
            self._templates[text] = template
            while self.letters > MOST_LETTERS:
                self.letters -= len(self._templates.popitem(last=False)[0])
