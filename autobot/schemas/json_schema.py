"""JSON schemas that callers send: well-formed, bounded, never fetched, never slow to apply.

A schema is a stranger's program. A pattern such as ``(a+)+$`` keeps Python's ``re`` busy for hours,
which is why jsonschema-rs applies them: its patterns are ECMAScript's, as JSON Schema asks, take
linear time or give up after a bounded number of steps back, and what they gave up on is not valid.
It has no such bound for references, neither when it reads a schema nor when it applies it; `Reach`
counts those, and is asked first. Nor has it one for reading many patterns: they are read by
themselves until that has taken too long.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema_rs import FancyRegexOptions, ValidationError, Validator, validator_for

from autobot.errors import Invalid
from autobot.schemas.pattern_cost import steps_a_letter
from autobot.schemas.reach import ANCHORS, REFERENCES, Reach, patterns_of, referred

DEEPEST = 32
MOST_PARTS = 10_000
MOST_LETTERS = 1 << 18
"""Of a schema as JSON."""
MOST_READING_S = 0.25
"""Processor time for its patterns. One of the largest takes 50 ms."""
MOST_LOOKS = 50_000_000
"""As often may a schema look at all parts of a value; a look takes 10 ns when this was chosen."""
MOST_STEPS = 25_000_000
"""As many may its patterns take on all letters of a value; one takes 20 ns."""
MOST_EXPLAINED = 10_000
"""As often, when the reason is wanted too: each look at what is wrong then takes 45 us."""
MOST_STEPS_BACK = 10_000
"""Of one pattern on one text; then it has not matched."""
STEPS = FancyRegexOptions(backtrack_limit=MOST_STEPS_BACK)
CERTAIN_DEPTH = 4
"""A schema is refused at once when it could not even be applied to a value of this depth."""


class Checked:
    """A schema that may be applied."""

    def __init__(self, validator: Validator, reach: Reach, matching: Reach) -> None:
        """``matching`` counts the steps of patterns for one letter, as ``reach`` counts looks."""
        self._validator, self._reach, self._matching = validator, reach, matching

    def is_valid(self, value: Any) -> bool:
        """Whether it is; a value that would take too long, or is no JSON, is not."""
        try:
            return self._is_quick(value) and self._validator.is_valid(value)
        except UnicodeEncodeError:  # half a surrogate pair
            return False

    def fault(self, value: Any) -> str:
        """Say what is wrong with ``value`` and where, or nothing."""
        if self.is_valid(value):
            return ""
        if not self._is_quick(value):
            return "it is too large or too deep for this schema"
        parts, depth, _ = _extent(value)
        looks = parts * self._reach.looks(depth)
        try:
            errors = self._validator.iter_errors(value) if looks <= MOST_EXPLAINED else iter(())
            error = next(errors, None)
        except UnicodeEncodeError:
            return "it holds half a character"
        if error is None:
            return "it is not valid under the schema"
        return f"{'.'.join(map(str, error.instance_path)) or 'the object'}: {error.message[:200]}"

    def _is_quick(self, value: Any) -> bool:
        parts, depth, letters = _extent(value)
        steps = letters * self._matching.looks(depth)
        return parts * self._reach.looks(depth) <= MOST_LOOKS and steps <= MOST_STEPS


@dataclass
class Budget:
    """What is left for reading schemas; those of one request may share it."""

    letters: int = MOST_LETTERS
    patterns_s: float = MOST_READING_S

    def spend_letters(self, letters: int, where: str) -> None:
        """Take away letters of JSON. Raises `Invalid`, naming ``where``, when too few are left."""
        self.letters -= letters
        if self.letters < 0:
            raise Invalid(f"{where}: more than {MOST_LETTERS} letters of JSON schema.")

    def spend_on_patterns(self, seconds: float, where: str) -> None:
        """Take away processor time. Raises `Invalid`, naming ``where``, when too little is left."""
        self.patterns_s -= seconds
        if self.patterns_s < 0:
            raise Invalid(f"{where}: the schema's patterns are too many or too large.")


def checked(schema: Mapping[str, Any], where: str, budget: Budget | None = None) -> Checked:
    """Return the schema, ready to be applied. Raises `Invalid`, which names ``where`` it was."""
    budget = budget or Budget()
    parts = _bounded(schema, where)
    budget.spend_letters(len(json.dumps(schema)), where)
    reach = Reach(parts, where)
    if reach.looks(CERTAIN_DEPTH) > MOST_LOOKS:
        raise Invalid(f"{where}: the schema's references repeat each other too often.")
    matching = Reach(parts, where, lambda part: sum(map(steps_a_letter, patterns_of(part))))
    if matching.looks(CERTAIN_DEPTH) > MOST_STEPS:
        raise Invalid(f"{where}: the schema's patterns repeat each other too often.")
    _read_patterns(parts, where, budget)
    try:
        # A format that is known is a promise too; one that is not only describes.
        validator = validator_for(
            dict(schema), offline=True, validate_formats=True, pattern_options=STEPS
        )
    except ValidationError as error:
        place = "/".join(map(str, error.instance_path))
        said = f"{place}: {error.message[:300]}" if place else error.message[:300]
        raise Invalid(f"{where}: not a JSON schema: {said}") from error
    except ValueError as error:  # half a surrogate pair
        raise Invalid(f"{where}: the schema holds what is not JSON: {error}.") from error
    return Checked(validator, reach, matching)


def _read_patterns(parts: Sequence[Mapping[str, Any]], where: str, budget: Budget) -> None:
    """Each by itself: ``\\p{L}{200}`` takes megabytes, and there is room for thousands."""
    for pattern in dict.fromkeys(one for part in parts for one in patterns_of(part)):
        began = time.thread_time()
        with contextlib.suppress(ValueError):  # it is none, or data: told with its place, or used
            validator_for({"pattern": pattern}, offline=True, pattern_options=STEPS)
        budget.spend_on_patterns(time.thread_time() - began, where)


def _bounded(schema: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    """Return all objects of the schema, itself first."""
    parts: list[tuple[Any, int, bool]] = [(schema, 0, False)]
    for count, (part, depth, elsewhere) in enumerate(parts):  # it grows while it is read
        if depth > DEEPEST or count > MOST_PARTS:
            raise Invalid(f"{where}: the schema is too large or nested too deeply.")
        if isinstance(part, Mapping):
            below = elsewhere or (depth > 0 and _has_address(part))
            _stays_inside(part, where, elsewhere=below)
            parts += [(value, depth + 1, below) for value in part.values()]
        elif isinstance(part, list):
            parts += [(value, depth + 1, elsewhere) for value in part]
    try:  # Python reads NaN as if it were JSON, and no engine does
        json.dumps(schema, allow_nan=False)
    except ValueError as error:
        raise Invalid(f"{where}: the schema holds what is not JSON: {error}.") from error
    return [part for part, *_ in parts if isinstance(part, Mapping)]


def _has_address(part: Mapping[str, Any]) -> bool:
    """Whether references in it start from there; ``id`` is what draft 4 calls it."""
    names = [part.get("$id"), part.get("id")]
    return any(isinstance(name, str) and not name.startswith("#") for name in names)


def _stays_inside(part: Mapping[str, Any], where: str, *, elsewhere: bool) -> None:
    for name in REFERENCES:
        reference = part.get(name)
        if not isinstance(reference, str):
            continue
        if not reference.startswith("#"):
            raise Invalid(f"{where}: '{name}' may only point into the schema itself.")
        if elsewhere:
            raise Invalid(f"{where}: '{name}' may not stand below an '$id' of its own.")


def _extent(value: Any) -> tuple[int, int, int]:
    """The parts of ``value``, 50 letters as one more; how deeply they are nested; and the letters
    of texts and names, as patterns read them: in bytes."""
    level, parts, depth, letters = [value], 0, 0, 0
    while level:
        texts = [one for one in level if isinstance(one, str)]
        parts += len(level) + sum(len(one) // 50 for one in texts)
        names = [name for one in level if isinstance(one, Mapping) for name in one]
        letters += sum(len(one) * (1 if one.isascii() else 4) for one in (*texts, *names))
        level = [
            below
            for one in level
            if isinstance(one, (Mapping, list))
            for below in (one.values() if isinstance(one, Mapping) else one)
        ]
        depth += bool(level)
    return parts, depth, letters


def targets(schema: Mapping[str, Any]) -> Callable[[str], Any]:
    """Finds what the references in a `checked` schema lead to."""
    anchors = {
        part[key]: part
        for part in _objects(schema)
        for key in ANCHORS
        if isinstance(part.get(key), str)
    }

    def target(reference: str) -> Any:
        found = referred(schema, anchors, reference)
        if found is None:
            raise Invalid(f"the schema: '$ref' leads nowhere: {reference[:100]}")
        return found

    return target


def _objects(part: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(part, Mapping):
        yield part
    if isinstance(part, (Mapping, list)):
        for one in part.values() if isinstance(part, Mapping) else part:
            yield from _objects(one)


def moved(part: Any, below: str) -> Any:
    """A copy whose local references still hold when the schema is placed `below` another's root.
    Those to an anchor hold wherever they stand."""
    if isinstance(part, dict):
        return {
            key: below + value[1:]
            if key == "$ref" and isinstance(value, str) and value[:2] in ("#", "#/")
            else moved(value, below)
            for key, value in part.items()
        }
    if isinstance(part, list):
        return [moved(value, below) for value in part]
    return part
