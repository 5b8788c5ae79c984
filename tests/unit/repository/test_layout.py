"""A folder is a room with walls: nobody has to read forty names to find one."""

from collections import Counter

from autobot.platform.topology import CHECKOUT

MOST = 15
SOURCES = {".py", ".ts", ".vue"}
NOT_OURS = {"node_modules", "dist", "__pycache__"}


def test_no_folder_has_more_source_files_than_are_seen_at_a_glance() -> None:
    counted = Counter(
        str(file.parent.relative_to(CHECKOUT))
        for top in ("autobot", "deployments", "tests")
        for file in (CHECKOUT / top).rglob("*")
        if file.suffix in SOURCES and file.name != "__init__.py"
        if NOT_OURS.isdisjoint(file.relative_to(CHECKOUT).parts)
    )
    assert len(counted) > 50
    assert {folder: n for folder, n in counted.items() if n > MOST} == {}
