"""Every error survives the trip between two processes."""

import ast
import pickle
import re
from pathlib import Path

import pytest

from autobot import errors

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^    ((?:[│ ]   )*(?:[├└]── )?)(\w+) +(\d{3}) (\S+)(?: +(\(Retry-After\)))?$", re.MULTILINE
)


def every_error() -> list[type[errors.AutoBotError]]:
    found = [errors.AutoBotError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return found


@pytest.mark.parametrize("kind", every_error())
def test_error_keeps_its_class_and_words_through_pickle(kind: type[errors.AutoBotError]) -> None:
    before = kind("it broke").of("input")
    after = pickle.loads(pickle.dumps(before))  # noqa: S301
    assert type(after) is kind
    assert after.args == before.args
    assert (after.detail, after.param) == ("it broke", "input")


def errors_of_the_source() -> dict[str, ast.ClassDef]:
    """Read, not imported: rooms' modules may want their libraries. Parents come before children."""
    classes = {
        node.name: node
        for package in ("autobot", "deployments")
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    found = {"AutoBotError": classes["AutoBotError"]}
    for parent in (names := ["AutoBotError"]):
        children = [name for name, node in classes.items() if base_of(node) == parent]
        found |= {name: classes[name] for name in children}
        names += children
    return found


def base_of(node: ast.ClassDef) -> str:
    return ast.unparse(node.bases[0]) if node.bases else ""


def set_in(node: ast.ClassDef) -> dict[str, object]:
    """The status, type and time to wait that the body of the class sets."""
    lines = [line for line in node.body if isinstance(line, ast.Assign | ast.AnnAssign)]
    return {
        name: ast.literal_eval(line.value)
        for line in lines
        if line.value
        and (name := ast.unparse(line.targets[0] if isinstance(line, ast.Assign) else line.target))
        in ("status", "type", "retry_after")
    }


def test_the_tree_in_the_docstring_has_every_error_of_the_source_in_its_place() -> None:
    drawn: dict[str, tuple[str, int, str, bool]] = {}
    above: list[str] = []
    for indent, name, status, kind, retry in ROW.findall(errors.__doc__ or ""):
        above[len(indent) // 4 :] = [name]
        parent = above[-2] if len(above) > 1 else "Exception"
        drawn[name] = (parent, int(status), kind, bool(retry))
    values: dict[str, dict[str, object]] = {"Exception": {}}
    for name, node in errors_of_the_source().items():
        parent = base_of(node)
        values[name] = values[parent] | set_in(node)
        of = values[name]
        assert drawn.pop(name) == (parent, of["status"], of["type"], of["retry_after"] is not None)
    assert not drawn


def test_default_message_is_the_docstring() -> None:
    assert errors.Busy().detail == errors.Busy.__doc__


def test_type_slugs_are_unique_per_status_and_stable() -> None:
    slugs = [kind.type for kind in every_error() if kind.__module__ == errors.__name__]
    assert len(slugs) == len(set(slugs))


def test_setup_error_says_the_remedy() -> None:
    assert "apt-get" in str(errors.SetupError("no node", "apt-get install nodejs"))
