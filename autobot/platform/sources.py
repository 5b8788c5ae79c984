"""What a folder's sources are, as one digest: whoever was made from others is out of date."""

import hashlib
from collections.abc import Container
from pathlib import Path

CODE_SUFFIXES = {".py", ".yaml", ".toml", ".json", ".html", ".js", ".ts", ".vue", ".css", ".svg"}
GENERATED = {"__pycache__", "node_modules", "dist", "generated"}


def sources_digest(*folders: Path, without: Container[str] = ()) -> str:
    """Hash names and contents of the source files under ``folders``, without what builds leave.

    ``without`` names top-level subfolders to leave out.
    """
    total = hashlib.sha256()
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder)
            wanted = GENERATED.isdisjoint(name.parts) and name.parts[0] not in without
            if file.suffix in CODE_SUFFIXES and wanted:
                total.update(str(name).encode() + b"\0" + file.read_bytes())
    return total.hexdigest()[:16]
