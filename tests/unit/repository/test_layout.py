"""A folder is a room with walls: nobody has to read forty names to find one."""

import subprocess
from collections import Counter
from pathlib import PurePath

from autobot.platform.topology import CHECKOUT

MOST = 15
SOURCES = {".py", ".ts", ".vue"}


def test_no_folder_has_more_source_files_than_are_seen_at_a_glance() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "autobot", "deployments", "tests"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    files = [PurePath(name) for name in listed]
    sources = [f for f in files if f.suffix in SOURCES and f.name != "__init__.py"]
    assert sources
    counted = Counter(str(file.parent) for file in sources)
    assert {folder: n for folder, n in counted.items() if n > MOST} == {}
