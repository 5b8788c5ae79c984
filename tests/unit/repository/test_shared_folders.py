"""No path in a folder that all users share has a name that can be guessed.

`mkdtemp` and its kin choose a name at random and close the folder: those are safe. What finds such
folders again must ask whose they are.
"""

import re
from pathlib import Path

from autobot.platform.topology import CHECKOUT

SHARED = re.compile(r"gettempdir|[\"'(= /]tmp/|[\"']/?tmp[\"']|/dev/shm|/var/tmp|/run/lock")
EXPECTED = {
    # Ray's launcher asks for it: it is refused where others can write.
    "autobot/cluster/launcher.py": "refuse_shared_temporary_folder",
    # Removes what a killed engine left, after asking whose it is.
    "deployments/llm/engines/llamacpp/process.py": "st_uid",
    # Removes what a killed replica left, after asking whose it is.
    "deployments/browser/chromium/driver.py": "sweep",
    "deployments/browser/chromium/isolation/folders.py": "st_uid",
    # In a browser's own mount namespace, where both are its own, in memory.
    "deployments/browser/chromium/isolation/namespaces.py": "--tmpfs",
    # Asks how much room is left there, and opens nothing.
    "autobot/serving/room.py": "Disks(",
}
"""File -> what in it makes its use of a shared folder safe."""


def sources() -> list[Path]:
    folders = [CHECKOUT / name for name in ("autobot", "deployments", "scripts")]
    found = [file for folder in folders for file in folder.rglob("*")]
    return [
        file
        for file in found
        if file.suffix in {".py", ".sh", ".yaml", ".toml"} and "node_modules" not in file.parts
    ]


def test_a_shared_folder_is_used_only_where_it_is_known_to_be_safe() -> None:
    used = {
        str(file.relative_to(CHECKOUT))
        for file in sources()
        if any(SHARED.search(line) for line in code_lines(file))
    }
    assert used <= set(EXPECTED), used - set(EXPECTED)
    for name, safeguard in EXPECTED.items():
        assert safeguard in (CHECKOUT / name).read_text(), name


def code_lines(file: Path) -> list[str]:
    """Its lines without comments; prose speaks of /tmp, code must not."""
    return [line for line in file.read_text().splitlines() if "`/tmp`" not in line]
