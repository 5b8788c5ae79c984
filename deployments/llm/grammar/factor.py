"""Makes a grammar decide as early as it can, and says how ambiguous what is left of it is.

An engine follows every way of reading the text so far at once. Alternatives that begin alike are
written once, up to where they differ; what still overlaps is counted, and the count has a bound.
"""

from collections.abc import Iterable, Sequence

from deployments.llm.grammar.automaton import GrammarTooLarge, Ranges, overlap, union, without
from deployments.llm.grammar.nodes import EMPTY, Alt, Lit, Node, Ref, Rules, Seq, Term, first_of

MOST_ALIVE = 100
"""Ways to read a text, at any point of it. Each costs an engine a look at its whole vocabulary."""
MOST_PARTS = 150_000
MOST_RULES = 20_000

SPACES: Ranges = ((0x0A, 0x0A), (0x20, 0x20))

Path = tuple[Node, ...]


Ahead = list[tuple[str, tuple[Path, ...]]]
"""Rules that were named and are yet to be made."""


class TooAmbiguous(Exception):
    """More ways to read a text than an engine should follow."""


class Factored:
    """The rules reached from ``root``, factored. Raises `TooAmbiguous` and `GrammarTooLarge`.

    With ``only_counted`` they stay as they are, which is what other people's converters make.
    """

    def __init__(self, rules: Rules, root: str, *, only_counted: bool = False) -> None:
        self._source = rules
        self._only_counted = only_counted
        self._firsts: dict[Node, tuple[Ranges, bool]] = {}
        self._names: dict[object, str] = {}
        self._apart: set[str] = set()
        self._parts = 0
        self.rules: Rules = {}
        self.root = self._named(Ref(root))
        self._alive()

    def _named(self, node: Ref) -> str:
        return self._rule(((node,),)).name

    def _rule(self, paths: Iterable[Path]) -> Ref:
        """A rule of these alternatives, which is made once however often it is needed."""
        ahead = [(self._name(paths), tuple(paths))]
        top = ahead[0][0]
        while ahead:
            name, wanted = ahead.pop()
            if name not in self.rules:
                self.rules[name] = EMPTY
                self.rules[name] = self._built(wanted, ahead)
        return Ref(top)

    def _name(self, paths: Iterable[Path]) -> str:
        if len(self._names) > MOST_RULES:
            raise GrammarTooLarge
        return self._names.setdefault(frozenset(paths), f"f{len(self._names)}")

    def _built(self, paths: Sequence[Path], ahead: Ahead) -> Node:
        if self._only_counted:
            groups = [(path[0] if path else None, [path[1:]]) for path in paths]
        else:
            groups = self._groups(list(paths))
        options: list[Node] = []
        for head, rests in groups:
            self._parts += 1 + sum(map(len, rests))
            if self._parts > MOST_PARTS:
                raise GrammarTooLarge
            if head is None:
                options.append(EMPTY)
                continue
            parts = [self._part(head, ahead)]
            if len(rests) > 1:
                name = self._name(rests)
                ahead.append((name, tuple(rests)))
                parts.append(Ref(name))
            else:
                parts += [self._part(part, ahead) for part in rests[0]]
            options.append(Seq(tuple(parts)) if len(parts) > 1 else parts[0])
        return options[0] if len(options) == 1 else Alt(tuple(options))

    def _part(self, part: Node, ahead: Ahead) -> Node:
        if isinstance(part, (Lit, Term)):
            return part
        paths = tuple(dict.fromkeys(map(self._flat, self._opened(part))))
        name = self._name(paths)
        if self._only_counted and isinstance(part, Ref):
            source = self._source[part.name]
            if isinstance(source, Alt) and source.apart:
                self._apart.add(name)
        ahead.append((name, paths))
        return Ref(name)

    def _groups(self, paths: list[Path]) -> "list[tuple[Node | None, list[Path]]]":
        """Alternatives by what they begin with; opened until those beginnings differ."""
        while True:
            groups: dict[Node | None, list[Path]] = {}
            for path in paths:
                groups.setdefault(path[0] if path else None, []).append(path[1:])
            heads = [head for head in groups if head is not None]
            if len(groups) == 1 and len(paths) > 1 and isinstance(heads[0] if heads else None, Ref):
                return list(groups.items())
            clash = self._clashing(heads)
            closed = {head for head in clash if not isinstance(head, (Lit, Term))}
            if not closed:
                return self._letters(groups)
            paths = list(
                dict.fromkeys(
                    self._flat(way, path[1:])
                    for path in paths
                    for way in (self._opened(path[0]) if path and path[0] in closed else [path[:1]])
                )
            )
            self._parts += len(paths)
            if self._parts > MOST_PARTS:
                raise GrammarTooLarge

    def _letters(
        self, groups: "dict[Node | None, list[Path]]"
    ) -> "list[tuple[Node | None, list[Path]]]":
        """Literals by their longest common beginnings."""
        by_letter: dict[str, list[tuple[str, Path]]] = {}
        kept: list[tuple[Node | None, list[Path]]] = []
        for head, rests in groups.items():
            if isinstance(head, Lit):
                found = by_letter.setdefault(head.text[0], [])
                found += [(head.text, rest) for rest in rests]
            else:
                kept.append((head, rests))
        for found in by_letter.values():
            common = _common([text for text, _ in found])
            rests = (self._flat((Lit(text[len(common) :]),), rest) for text, rest in found)
            kept.append((Lit(common), list(dict.fromkeys(rests))))
        return kept

    def _clashing(self, heads: Sequence[Node]) -> set[Node]:
        marked: list[tuple[int, int, Node]] = sorted(
            ((low, high, head) for head in heads for low, high in self._first(head)[0]),
            key=lambda mark: mark[:2],
        )
        clash: set[Node] = {head for head in heads if self._first(head)[1]} if heads[1:] else set()
        reach, holder = -1, None
        for low, high, head in marked:
            if low <= reach and holder is not None and holder != head:
                clash |= {holder, head}
            if high > reach:
                reach, holder = high, head
        return clash

    def _opened(self, node: Node) -> list[Path]:
        """The alternatives of one node."""
        if isinstance(node, Ref):
            return self._opened(self._source[node.name])
        if isinstance(node, Alt):
            return [path for option in node.options for path in self._opened(option)]
        if isinstance(node, Seq):
            return [node.parts]
        return [(node,)]

    def _flat(self, path: Path, rest: Path = ()) -> Path:
        """Without sequences inside, without empty literals, neighbouring literals as one. ``rest``,
        which follows, is so already."""
        parts: list[Node] = []
        ahead = list(reversed(path))
        while ahead:
            part = ahead.pop()
            if isinstance(part, Seq):
                ahead += reversed(part.parts)
            elif isinstance(part, Lit) and parts and isinstance(parts[-1], Lit):
                parts[-1] = Lit(parts[-1].text + part.text)
            elif not isinstance(part, Lit) or part.text:
                parts.append(part)
        if rest and parts and isinstance(parts[-1], Lit) and isinstance(rest[0], Lit):
            return (*parts[:-1], Lit(parts[-1].text + rest[0].text), *rest[1:])
        return (*parts, *rest)

    def _first(self, node: Node) -> tuple[Ranges, bool]:
        """The characters it may begin with, and whether it may be empty."""
        if node not in self._firsts:
            self._firsts[node] = self._found_first(node)
        return self._firsts[node]

    def _found_first(self, node: Node) -> tuple[Ranges, bool]:
        if isinstance(node, Lit):
            return (((ord(node.text[0]),) * 2,), False) if node.text else ((), True)  # pyright: ignore
        if isinstance(node, Term):
            nothing = not node.quoted and 0 in node.automaton.accepts
            return union(first_of(node.automaton, node.quoted)), nothing
        if isinstance(node, Ref):
            return self._first(self._source.get(node.name) or self.rules[node.name])
        if isinstance(node, Alt):
            found = [self._first(option) for option in node.options]
            ranges = [r for one, _ in found for r in one]
            return union(ranges), any(nothing for _, nothing in found)
        ranges = []
        for part in node.parts:
            own, nothing = self._first(part)
            ranges += own
            if not nothing:
                return union(ranges), False
        return union(ranges), True

    def _alive(self) -> None:
        """Count the ways until no count changes, or one is too many."""
        self._firsts.clear()
        self._source = self.rules
        self._counts = dict.fromkeys(self.rules, 1)
        self._ends: dict[str, Ranges] = dict.fromkeys(self.rules, ())
        self._settle_ends()
        changed = True
        while changed:
            changed = False
            for name, node in reversed(self.rules.items()):
                apart = isinstance(node, Alt) and name in self._apart
                count = max(map(self._count, node.options)) if apart else self._count(node)  # pyright: ignore
                if count > MOST_ALIVE:
                    raise TooAmbiguous
                if count > self._counts[name]:
                    self._counts[name], changed = count, True

    def _settle_ends(self) -> None:
        changed = True
        while changed:
            changed = False
            for name, node in reversed(self.rules.items()):
                found = self._going_on(node)
                if found != self._ends[name]:
                    self._ends[name], changed = found, True

    def _count(self, node: Node) -> int:
        if isinstance(node, Ref):
            return self._counts[node.name]
        if isinstance(node, Alt):
            return max(self._overlapping(node), len(node.options))
        if isinstance(node, Seq):
            most = before = 0
            for at, part in enumerate(node.parts):
                count = self._count(part)
                most = max(most, before + count)
                rest = self._first(Seq(node.parts[at + 1 :]))[0]
                before = before + count if overlap(self._going_on(part), rest) else 0
            return most
        return 1

    def _overlapping(self, node: Alt) -> int:
        """The most that go on together after one character."""
        counts = [self._count(option) for option in node.options]
        heads = [o.parts[0] if isinstance(o, Seq) and o.parts else o for o in node.options]
        if any(isinstance(head, Term) and head.apart for head in heads):
            return max(counts)
        marks: list[tuple[int, int]] = []
        for option, count in zip(node.options, counts, strict=True):
            ranges = self._first(option)[0]
            if self._only_counted:
                ranges = without(ranges, SPACES)
            marks += [mark for low, high in ranges for mark in ((low, count), (high + 1, -count))]
        most = now = 0
        for _, change in sorted(marks):
            now += change
            most = max(most, now)
        return most

    def _going_on(self, node: Node) -> Ranges:
        """The characters by which a whole text of it may become a longer one, as a number's."""
        if isinstance(node, Lit):
            return ()
        if isinstance(node, Term):
            edges = node.automaton.edges
            ends = [] if node.quoted else [edges[state] for state in node.automaton.accepts]
            return union((low, high) for row in ends for low, high, _ in row)
        if isinstance(node, Ref):
            return self._ends[node.name]
        found: list[tuple[int, int]] = []
        if isinstance(node, Alt):
            found += [r for option in node.options for r in self._going_on(option)]
        for part in reversed(node.parts if isinstance(node, Seq) else ()):
            found += self._going_on(part)
            if not self._first(part)[1]:
                break
        ranges, nothing = self._first(node)
        return union([*found, *(ranges if nothing else ())])


def _common(texts: Sequence[str]) -> str:
    low, high = min(texts), max(texts)
    end = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[:end]
