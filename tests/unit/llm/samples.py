"""Texts at random from a grammar's rules, as a model without any sense would write them."""

import random

from deployments.llm.grammar.automaton import ANY, Automaton, overlap
from deployments.llm.grammar.nodes import QUOTED, Alt, Lit, Node, Ref, Rules, Seq, Term

DEEP = 30
FAR = 10**6
ESCAPED = {'"': '\\"', "\\": "\\\\"}


class Samples:
    def __init__(self, rules: Rules, seed: int = 1) -> None:
        self._rules = rules
        self._dice = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._cost = dict.fromkeys(rules, FAR)
        changed = True
        while changed:
            found = {name: self._least(node) for name, node in rules.items()}
            changed, self._cost = found != self._cost, found

    def text(self, node: Node, depth: int = 0) -> str:
        if isinstance(node, Lit):
            return node.text
        if isinstance(node, Term):
            return self._walk(node.automaton, node.quoted)
        if isinstance(node, Ref):
            return self.text(self._rules[node.name], depth + 1)
        if isinstance(node, Seq):
            return "".join(self.text(part, depth) for part in node.parts)
        if depth > DEEP:  # the shortest way out
            return self.text(min(node.options, key=self._least), depth)
        return self.text(self._dice.choice(node.options), depth)

    def _least(self, node: Node) -> int:
        if isinstance(node, Ref):
            return min(FAR, self._cost[node.name] + 1)
        if isinstance(node, Seq):
            return min(FAR, sum(map(self._least, node.parts)))
        return min(map(self._least, node.options)) if isinstance(node, Alt) else 1

    def _walk(self, automaton: Automaton, quoted: bool) -> str:
        state, text = 0, ""
        while state not in automaton.accepts or (
            automaton.edges[state] and self._dice.random() < 0.8
        ):
            low, high, state = self._dice.choice(automaton.edges[state])
            letter = chr(self._dice.randint(low, min(high, low + 100)))
            code = ord(letter)
            special = quoted and overlap(((code, code),), QUOTED)
            assert overlap(((code, code),), ANY)
            text += ESCAPED.get(letter, f"\\u{code:04x}") if special else letter
        return text + '"' if quoted else text
