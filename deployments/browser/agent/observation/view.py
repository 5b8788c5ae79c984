"""A page as a small model reads it: short lines, and a reference for what it may use.

An ARIA snapshot spends most of its tokens on containers, addresses and words said twice. A `View`
has what is left, in the page's order: ``[e15] link "Green tea"``. A page longer than the budget is
shown a window at a time, so nothing of it is out of reach.
"""

import re
from dataclasses import dataclass, field

from deployments.browser.agent.observation.aria import Node, parse
from deployments.browser.pages.snapshot import LETTERS_PER_TOKEN

WRITABLE = ("textbox", "searchbox", "spinbutton")
CLICKABLE = ("link", "button", "checkbox", "radio", "switch", "tab", "option", "treeitem")
SHOWN_STATES = ("checked", "selected", "expanded", "pressed")
LONGEST_LINE = 300
LONGEST_FIELD = 100
"""Letters of a field's name, and of what it holds."""
MOST_OPTIONS = 20


@dataclass(frozen=True)
class Element:
    """Something the model may use. ``can`` is click, type or select; ``options`` are a list's.

    ``value`` is what a field or a list holds.
    """

    ref: str
    role: str
    name: str
    can: str
    options: tuple[str, ...] = ()
    value: str = ""

    def __str__(self) -> str:
        return f'{self.role} "{self.name[:60]}"' if self.name else self.role


@dataclass
class View:
    """A page: its lines, and what of it can be used, by reference."""

    url: str = ""
    title: str = ""
    lines: list[str] = field(default_factory=list[str])
    elements: dict[str, Element] = field(default_factory=dict[str, Element])

    @property
    def text(self) -> str:
        """All its lines in one text, however many; `window` says which of them fit a budget."""
        return "\n".join(self.lines)

    def window(self, start: int, budget: int) -> tuple[int, int]:
        """Return the range of lines from ``start`` that fit ``budget`` tokens; at least one."""
        room = budget * LETTERS_PER_TOKEN
        end = start
        while end < len(self.lines) and (end == start or len(self.lines[end]) < room):
            room -= len(self.lines[end]) + 1
            end += 1
        return start, end

    def usable(self, start: int, end: int) -> list[Element]:
        """Return the elements named in those lines, in order."""
        refs = re.findall(r"\[((?:f\d+)?e\d+)\]", "\n".join(self.lines[start:end]))
        return [self.elements[ref] for ref in dict.fromkeys(refs) if ref in self.elements]


def view_of(tree: str, url: str = "", title: str = "") -> View:
    """Return what a model is shown of the snapshot ``tree``."""
    view = View(url, title)
    _children(parse(tree), view, "")
    view.lines = [_cut(line, LONGEST_LINE) for line in view.lines if line.strip()]
    return view


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."


def _children(node: Node, view: View, indent: str) -> None:
    names = {child.name for child in node.children if child.name}
    for child in node.children:
        if child.role == "text" and child.text in names:
            continue  # a label, said again by the field it belongs to
        _show(child, view, indent)


def _show(node: Node, view: View, indent: str) -> None:
    if node.role == "row":
        view.lines.append(
            f"{indent}| {' | '.join(_inline(cell, view) for cell in node.children)} |"
        )
        return
    if node.role == "listitem":
        _item(node, view, indent)
        return
    if node.role == "navigation":
        _navigation(node, view, indent)
        return
    if line := _line(node, view):
        view.lines.append(indent + line)
    if not _is_leaf(node):
        deeper = indent + " " if node.role in ("dialog", "alertdialog", "iframe") else indent
        _children(node, view, deeper)


def _item(node: Node, view: View, indent: str) -> None:
    """Its lines, the first marked with a dash: what stands beside each other belongs together."""
    first = len(view.lines)
    if node.text:
        view.lines.append(f"{indent}  {node.text}")
    _children(node, view, indent + "  ")
    if len(view.lines) > first:
        view.lines[first] = f"{indent}- {view.lines[first].lstrip()}"


def _navigation(node: Node, view: View, indent: str) -> None:
    """What is on every page takes few lines: beside a list of links the page itself is overseen."""
    first = len(view.lines)
    own = _line(node, view)
    if not _is_leaf(node):
        _children(node, view, "")
    parts = [line.strip().removeprefix("- ") for line in view.lines[first:]]
    del view.lines[first:]
    line = ""
    for part in filter(None, [own, *parts]):
        if line and len(indent) + len(line) + len(part) > LONGEST_LINE - 3:
            view.lines.append(indent + line)
            line = ""
        line += f" | {part}" if line else f"navigation: {part.removeprefix('navigation: ')}"
    view.lines += [indent + line] if line else []


def _inline(node: Node, view: View) -> str:
    """A table's cell in one line."""
    if _is_leaf(node) or node.ref in view.elements or not node.children:
        return _line(node, view) or node.words()
    own = [node.text] if node.text else []
    return " ".join([*own, *(_inline(child, view) for child in node.children)])


def _is_leaf(node: Node) -> bool:
    """Whether its line says all of it."""
    return _can(node) != "" or (node.role in ("heading", "img") and not _usable_inside(node))


def _usable_inside(node: Node) -> bool:
    """Found out once: asked again of each element above it is asked 2^depth times."""
    if "usable" not in node.known:
        node.known["usable"] = any(_can(child) or _usable_inside(child) for child in node.children)
    return node.known["usable"]


def _can(node: Node) -> str:
    """What can be done with it: click, type, select, or nothing."""
    if not node.ref or "disabled" in node.marks:
        return ""
    if node.role in WRITABLE:
        return "type"
    if node.role in ("combobox", "listbox"):
        if any(child.role == "option" and not child.ref for child in node.children):
            return "select"
        return "type" if node.role == "combobox" else ""
    pointed = node.marks.get("cursor") == "pointer" and not _usable_inside(node)
    if node.role in CLICKABLE or node.role.startswith("menuitem") or pointed:
        return "click"
    return ""


def _line(node: Node, view: View) -> str:
    """The element's own line; empty for a container."""
    if can := _can(node):
        return _usable(node, can, view)
    if node.role == "heading":
        return f"# {node.words()}" if not _usable_inside(node) else ""
    if node.role == "img":
        return f'img "{node.name}"' if node.name else ""
    if node.role in ("dialog", "alertdialog", "alert", "status", "iframe"):
        return " ".join(filter(None, [f"{node.role}:", node.name, node.text]))
    if "disabled" in node.marks:
        return f'{node.role} "{node.name}" (disabled)'
    return node.text


def _usable(node: Node, can: str, view: View) -> str:
    role = node.role if node.role != "generic" else "item"
    name = node.name or ("" if can != "click" else node.words())
    options = tuple(c.name for c in node.children if c.role == "option")[:MOST_OPTIONS]
    if node.role in ("combobox", "listbox") and can == "select":
        chosen = [c.name for c in node.children if "selected" in c.marks]
        value = ", ".join(chosen)
    else:
        options = ()
        value = _written(node) if can == "type" else ""
    name = name or node.marks.get("/placeholder", "")
    if can != "click":
        name, value = _cut(name, LONGEST_FIELD), _cut(value, LONGEST_FIELD)
    view.elements[node.ref] = Element(node.ref, role, name, can, options, value)
    states = [state for state in SHOWN_STATES if state in node.marks]
    if node.role in ("checkbox", "radio", "switch") and "checked" not in node.marks:
        states.append("not checked")
    said = f'[{node.ref}] {role} "{name}"'
    said += f" = {value}" if value else " (empty)" if can == "type" else ""
    said += f" ({', '.join(states)})" if states else ""
    return said + (f" options: {' | '.join(options)}" if options else "")


def _written(node: Node) -> str:
    """What a field holds: its own text, or children beside a placeholder."""
    inside = [child.text for child in node.children if child.role == "text"]
    return " ".join(filter(None, [node.text, *inside]))
