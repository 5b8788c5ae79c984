"""A file that a program reads: named where the program is listed, written before it starts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autobot.files import write_private


@dataclass(frozen=True)
class ProgramFile:
    """``content`` makes the bytes at the time of writing; None says that there is no such file.

    With ``once``, a file that is there already stays as it is. ``mode`` is the owner's rights.
    """

    path: Path
    content: Callable[[], bytes | None]
    mode: int = 0o600
    once: bool = False

    def write(self) -> None:
        """Put the content in place of what is there, or remove it. Raises OSError."""
        if self.once and self.path.exists():
            return
        content = self.content()
        if content is None:
            self.path.unlink(missing_ok=True)
        else:
            write_private(self.path, content, self.mode)
