"""What a browser has to load before it shows the page."""

import gzip
import json
from typing import Any

from tests.e2e.web.conftest import DIST

MOST_BYTES = 250_000
"""Of script, compressed, before anything is seen."""
EDITOR = "src/features/automations/editor/YamlEditor.vue"


def manifest() -> dict[str, Any]:
    return json.loads((DIST / ".vite" / "manifest.json").read_text())


def with_imports(name: str) -> set[str]:
    """The files that an entry of the manifest needs at once."""
    needed, unread = set[str](), [name]
    while unread:
        entry = manifest()[unread.pop()]
        if entry["file"] not in needed:
            needed.add(entry["file"])
            unread += entry.get("imports", [])
    return needed


def compressed(files: set[str]) -> int:
    return sum(len(gzip.compress((DIST / file).read_bytes())) for file in files)


def test_the_first_load_is_below_its_budget() -> None:
    first = with_imports("index.html") | with_imports("src/features/chat/ChatPage.vue")
    assert 30_000 < compressed(first) < MOST_BYTES


def test_pages_and_the_editor_are_loaded_when_they_are_wanted() -> None:
    first = with_imports("index.html")
    lazy = {name for name, entry in manifest().items() if entry.get("isDynamicEntry")}
    assert EDITOR in lazy
    assert {name for name in lazy if name.endswith("Page.vue")} >= {
        f"src/features/{page}Page.vue"
        for page in ("chat/Chat", "browser/Browser", "cluster/Cluster", "settings/Settings")
    }
    assert manifest()[EDITOR]["file"] not in first


def test_nothing_is_fetched_from_outside() -> None:
    for file in DIST.rglob("*"):
        if file.suffix in (".html", ".css"):
            assert "//" not in file.read_text().replace("http://www.w3.org", "").replace("//#", "")
