"""Reading files that Chromium's user wrote: bounded, and never through a link it planted."""

import os
from pathlib import Path

MAX_FILE_BYTES = 64 << 20


def read_bounded(path: Path, limit: int = MAX_FILE_BYTES) -> bytes | None:
    """Return the file's bytes, or None when there are more than ``limit``.

    Raises OSError for a link: we may read more than the user who made it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        body = file.read(limit + 1)
    return body if len(body) <= limit else None
