"""Folders of tests that other users of this machine come into."""

import tempfile
from pathlib import Path


def let_in(folder: Path) -> Path:
    """Let any user pass to ``folder``, which pytest made below a folder of its own alone."""
    for each in (folder, *folder.parents):
        if each == Path(tempfile.gettempdir()):
            break
        each.chmod(each.stat().st_mode | 0o011)
    return folder
