"""YAML or JSON as plain values, with the place of every part.

What is no JSON number, ``true``, ``false`` or ``null`` is a text: ``on``, ``yes``, ``007``, ``+49``
and ``2027-01-01`` too. Tags and merge keys are refused, a key stands once, and aliases may not
multiply what a text holds.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import yaml

from autobot.automation.errors import InvalidAutomation, Mistake

MOST_LETTERS = 1 << 18
MOST_PARTS = 20_000
"""Values and keys, those of aliases counted at every use."""
DEEPEST = 32
Path = tuple[str | int, ...]
Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
NULL = re.compile(r"(?:null|Null|NULL|~|)\Z")
TRUTH = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,99})\Z", re.ASCII)
NUMBER = re.compile(
    r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][-+]?[0-9]{1,3})?\Z", re.ASCII
)
JSON_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
NOT_IN_YAML = {
    "\t": " ",
    **{
        chr(code): f"\\u{code:04x}"
        for code in (*range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF)
    },
}
"""What JSON may have in its texts or between them, and how YAML can say it."""
RARE_BREAK = re.compile("[\x85\u2028\u2029]")
FORBIDDEN = re.compile("[\ud800-\udfff]")


@dataclass
class Text:
    """A text as values; `place` says where a part stands."""

    value: Any
    mistakes: list[Mistake] = field(default_factory=list[Mistake])
    places: dict[Path, tuple[int, int]] = field(default_factory=dict[Path, tuple[int, int]])
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict[Path, tuple[int, int]])

    def place(self, path: Sequence[str | int], *, key: bool = False) -> tuple[int, int]:
        """Return line and column, from 1, of a value, or of its ``key``; of the nearest part
        around it that the text has."""
        way = tuple(path)
        if key and way in self.keys:
            return self.keys[way]
        while way and way not in self.places:
            way = way[:-1]
        return self.places.get(way, (1, 1))


def read(text: str) -> Text:
    """Read YAML or JSON. Raises `InvalidAutomation` where it is neither, or too much; what is
    wrong with single parts is in ``mistakes``."""
    if len(text) > MOST_LETTERS:
        raise _error(f"a document has at most {MOST_LETTERS} letters")
    if match := FORBIDDEN.search(text):
        line = text.count("\n", 0, match.start()) + 1
        raise _error("half a character", line, match.start() - text.rfind("\n", 0, match.start()))
    try:
        if (root := _composed(_json_as_yaml(text))) is None:
            raise _error("the document is empty")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise _error(error.problem or "this is no YAML", line, column) from error
    except yaml.YAMLError as error:  # a control character
        raise _error(str(error).splitlines()[0]) from error
    return _Reader().text(root)


def _json_as_yaml(text: str) -> str:
    """YAML has nearly all of JSON: no tab before a value, and no letter in two escapes."""
    if not text.lstrip().startswith("{"):
        return text

    def letter(match: "re.Match[str]") -> str:
        if match[1] is None:
            return match[0]
        high, low = int(match[1], 16), int(match[2], 16)
        return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"

    return JSON_ESCAPE.sub(letter, text).translate(str.maketrans(NOT_IN_YAML))


def _composed(text: str) -> yaml.Node | None:
    """Depth is bounded before nodes are made: making them is recursive."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        mark = event.start_mark
        if getattr(event, "tag", None) not in (None, "!"):
            raise _error("tags are not used here", mark.line + 1, mark.column + 1)
        if depth > DEEPEST or documents > 1:
            reason = f"more than {DEEPEST} levels deep" if depth > DEEPEST else "a second document"
            raise _error(reason, mark.line + 1, mark.column + 1)
    return yaml.compose(text, Loader=Loader)


class _Reader:
    def __init__(self) -> None:
        self._parts = MOST_PARTS
        self._open: set[int] = set()
        self._text = Text(None)

    def text(self, root: yaml.Node) -> Text:
        self._text.value = self._value(root, ())
        return self._text

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._text.places[path] = _place(node)
        self._parts -= 1
        if self._parts < 0 or len(path) > DEEPEST:
            raise _error("too many parts, aliases included", *_place(node))
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self._open:
            raise _error("an alias to a part around it", *_place(node))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self._value(item, (*path, n)) for n, item in enumerate(node.value)]
            return dict(self._entries(node, path))
        finally:
            self._open.discard(id(node))

    def _entries(self, node: yaml.Node, path: Path) -> Iterator[tuple[str, Any]]:
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.value == "<<":
                self._mistake(path, "a key is a text", key_node)
                continue
            key = key_node.value
            way = (*path, key)
            if key in seen:
                self._mistake(way, "the key stands twice", key_node)
                continue
            seen.add(key)
            self._text.keys[way] = _place(key_node)
            yield key, self._value(value_node, way)

    def _mistake(self, path: Path, message: str, node: yaml.Node) -> None:
        self._text.mistakes.append(Mistake(dotted(path), message, *_place(node)))


def _scalar(node: yaml.ScalarNode) -> Any:
    value = node.value
    if node.style:  # quoted, or a block
        return value
    if NULL.match(value):
        return None
    if TRUTH.match(value):
        return value in ("true", "True", "TRUE")
    if WHOLE.match(value):
        return int(value)
    if NUMBER.match(value) and abs(number := float(value)) != float("inf"):
        return number
    return value


class _Writer(yaml.SafeDumper):
    """Puts quotes around a text that `read` would take for something else."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}  # pyright: ignore

    def ignore_aliases(self, data: Any) -> bool:
        """No aliases: everything is written out."""
        return True


for _name, _pattern in {"null": NULL, "bool": TRUTH, "int": WHOLE, "float": NUMBER}.items():
    _Writer.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)  # type: ignore[arg-type]


def _block(writer: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    if RARE_BREAK.search(text):  # outside double quotes YAML reads them as a space or a line
        style = '"'
    return writer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _block)


def write(value: Any) -> str:
    """Return YAML that `read` takes for the same value; keys keep their order."""
    return yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=100)


def dotted(path: Sequence[str | int]) -> str:
    """Write a path as ``steps[2].with.url``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part[:100]}" for part in path)
    return text.removeprefix(".")


def _place(node: yaml.Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _error(message: str, line: int = 1, column: int = 1) -> InvalidAutomation:
    return InvalidAutomation(None, (Mistake("", message, line, column),))
