"""Playwright's ARIA snapshot as a tree. Its text form is YAML, of which it uses very little."""

import json
import re
from dataclasses import dataclass, field

KEY = re.compile(
    r"""(?P<role>[\w/-]+)
        (?:\ (?P<name>"(?:[^"\\]|\\.)*"|/(?:[^/\\]|\\.)*/))?
        (?P<marks>(?:\ \[[^\]]*\])*)
        (?P<rest>:.*)?$""",
    re.VERBOSE | re.DOTALL,
)
MARK = re.compile(r"\[([\w-]+)(?:=([^\[\]]*))?\]")


@dataclass
class Node:
    """An element: ``marks`` are ``ref``, ``checked``, ``cursor``, ...; ``text`` its own words."""

    role: str
    name: str = ""
    marks: dict[str, str] = field(default_factory=dict[str, str])
    text: str = ""
    children: list["Node"] = field(default_factory=list["Node"])
    known: dict[str, bool] = field(default_factory=dict[str, bool])
    """What was once found out about all that is in it."""

    @property
    def ref(self) -> str:
        """What an action calls it, such as ``e15``; empty when Playwright gave it no reference."""
        return self.marks.get("ref", "")

    def words(self) -> str:
        """Everything that is said in it, in order."""
        own = [self.name or self.text]
        inner = [] if self.name else [child.words() for child in self.children]
        return " ".join(filter(None, [*own, *inner]))


DEEPEST = 200
"""What is nested more deeply is taken as siblings: what reads a tree calls itself."""


def parse(tree: str) -> Node:
    """Return the root, which is no element itself. A line that is not understood is text."""
    root = Node("root")
    path: list[tuple[int, Node]] = [(-1, root)]
    for line in tree.splitlines():
        body = line.lstrip(" ")
        if not body.startswith("- "):
            continue
        indent = len(line) - len(body)
        while path[-1][0] >= indent:
            path.pop()
        node = _node(body[2:])
        if node.role.startswith("/"):  # a property of the element above, not an element
            path[-1][1].marks[node.role] = node.text
            continue
        path[-1][1].children.append(node)
        if len(path) < DEEPEST:
            path.append((indent, node))
    return root


def _node(body: str) -> Node:
    key, rest = _unquoted(body)
    found = KEY.match(key)
    if found is None:
        return Node("text", text=_scalar(body))
    marks: dict[str, str] = dict(MARK.findall(found["marks"]))
    said = rest if rest is not None else (found["rest"] or "")
    return Node(found["role"], _name(found["name"]), marks, _scalar(said.removeprefix(":")))


def _unquoted(body: str) -> tuple[str, str | None]:
    """Split off a key that YAML had to quote; otherwise all of ``body`` and None."""
    if not body.startswith("'"):
        return body, None
    found = re.match(r"'((?:[^']|'')*)'", body)
    if found is None:
        return body, None
    return found[1].replace("''", "'"), body[found.end() :]


def _name(quoted: str | None) -> str:
    if not quoted:
        return ""
    return _scalar(quoted)


def _scalar(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == '"':
        try:
            return str(json.loads(text))
        except ValueError:
            return text[1:-1]
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text
