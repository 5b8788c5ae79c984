"""The entries of a run's journal, and how they are written down.

An entry is a JSON object whose ``kind`` says which of these classes it is. What this program does
not know, a kind or a field that a newer one wrote, is kept as `Unknown`: such a run is left to a
program that knows it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from pydantic import JsonValue

from autobot.contracts.runs import Entry as StoredEntry
from autobot.contracts.runs import NewRun

SCHEMA = 1
"""Of journals; a journal that needs a newer program says a greater one where it begins."""

Place = tuple[str, int | None]
"""A step's id, and the number of its item where the step is a loop."""

Outcome = Literal["succeeded", "failed", "cancelled"]
Answer = Literal["approve", "reject", "retry", "fail", "done", "ended"]


@dataclass(frozen=True, slots=True)
class Created:
    """The beginning. ``version`` is the id of the version that the whole run keeps to, and
    ``principal`` of the API key in whose name its steps act. ``parent`` is the step that waits for
    its end, and ``depth`` counts the runs that led to this one."""

    kind: ClassVar[str] = "created"
    version: str
    inputs: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    trigger: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    retry_of: str | None = None
    principal: str = ""
    parent: Mapping[str, Any] | None = None
    depth: int = 0
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class _AtPlace:
    step: str
    iteration: int | None = None

    @property
    def place(self) -> Place:
        return self.step, self.iteration


@dataclass(frozen=True, slots=True)
class Started(_AtPlace):
    """An attempt begins; its effect may happen from here on."""

    kind: ClassVar[str] = "started"
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Succeeded(_AtPlace):
    """The result. ``blob`` names it where it is too large for an entry, and has ``size`` bytes."""

    kind: ClassVar[str] = "succeeded"
    output: JsonValue = None
    blob: str | None = None
    size: int = 0


@dataclass(frozen=True, slots=True)
class Failed(_AtPlace):
    """An attempt failed. It is tried again at ``retry_at``; it is final where that is None."""

    kind: ClassVar[str] = "failed"
    error: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    retry_at: int | None = None


@dataclass(frozen=True, slots=True)
class Interrupted(_AtPlace):
    """An attempt has no result because its worker vanished; another follows."""

    kind: ClassVar[str] = "interrupted"


@dataclass(frozen=True, slots=True)
class Skipped(_AtPlace):
    """The step does not run: ``condition``, ``needs`` (one it needs has no result), ``no-items``,
    or ``unasked``: nothing failed that it handles."""

    kind: ClassVar[str] = "skipped"
    reason: str = "condition"


@dataclass(frozen=True, slots=True)
class Expanded(_AtPlace):
    """The items of a loop, computed once."""

    kind: ClassVar[str] = "expanded"
    items: Sequence[JsonValue] = ()


@dataclass(frozen=True, slots=True)
class Waiting(_AtPlace):
    """Nothing happens before ``until``, or before a person answers.

    ``on`` is ``time``, ``approval``, ``unknown``: a person says what became of an attempt whose
    worker vanished; or ``run``: the end of another run, which ``detail`` names.
    """

    kind: ClassVar[str] = "waiting"
    on: Literal["time", "approval", "unknown", "run"] = "time"
    until: int | None = None
    detail: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Answered(_AtPlace):
    """Asked from outside: the answer to what waits, by a person's key or by the run that it waited
    for, which ``ended`` with this ``output`` or ``error``."""

    kind: ClassVar[str] = "answered"
    answer: Answer = "approve"
    by: str = ""
    output: JsonValue = None
    error: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Asked from outside of the whole run."""

    kind: ClassVar[str] = "asked"
    what: Literal["cancel", "pause", "resume"]
    by: str = ""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The program itself failed while it worked on the run; it is tried so many times."""

    kind: ClassVar[str] = "crashed"
    error: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing follows."""

    kind: ClassVar[str] = "ended"
    state: Outcome
    error: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """What a newer program wrote."""

    kind: ClassVar[str] = "unknown"
    body: bytes


JournalEntry = (
    Created
    | Started
    | Succeeded
    | Failed
    | Interrupted
    | Skipped
    | Expanded
    | Waiting
    | Answered
    | Asked
    | Crashed
    | Ended
    | Unknown
)

_KINDS: dict[str, type[Any]] = {
    entry.kind: entry
    for entry in (
        *(Created, Started, Succeeded, Failed, Interrupted, Skipped, Expanded, Waiting),
        *(Answered, Asked, Crashed, Ended),
    )
}
_FIELDS = {kind: {f.name: f for f in fields(entry)} for kind, entry in _KINDS.items()}
_VALUES = {
    kind: {
        name: frozenset(get_args(hint))
        for name, hint in get_type_hints(entry).items()
        if get_origin(hint) is Literal
    }
    for kind, entry in _KINDS.items()
}
"""The only values of some fields."""
_TEXTS = ("output", "error", "detail", "items")
"""Fields that hold what tools and expressions gave."""


_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def dumps(value: Any) -> bytes:
    """Return JSON in ASCII: half of a surrogate pair survives. `ValueError`: it is no JSON."""
    return _JSON.encode(value).encode()


def encode(entry: JournalEntry) -> bytes:
    """Return the entry as it is stored, without fields that are as they are by default."""
    if isinstance(entry, Unknown):
        return entry.body
    body: dict[str, Any] = {"kind": entry.kind}
    for name, of in _FIELDS[entry.kind].items():
        value = getattr(entry, name)
        if name == "schema" or of.default is MISSING or value != of.default:
            body[name] = value
    return dumps(body)


def decode(body: bytes) -> JournalEntry:
    """Return what `encode` was given."""
    try:
        found = json.loads(body)
        kind = found.pop("kind")
        known = _FIELDS.get(kind, {})
        if not known or not found.keys() <= known.keys() or found.get("schema", 0) > SCHEMA:
            return Unknown(body)
        if any(name in found and found[name] not in of for name, of in _VALUES[kind].items()):
            return Unknown(body)
        return _KINDS[kind](**found)
    except (ValueError, TypeError, KeyError, AttributeError):
        return Unknown(body)


def masked(entry: JournalEntry, mask: Callable[[Any], Any]) -> JournalEntry:
    """Return the entry without the secrets that ``mask`` takes out of a JSON value."""
    if isinstance(entry, Unknown):
        return entry
    texts = {name: getattr(entry, name) for name in _TEXTS if name in _FIELDS[entry.kind]}
    return replace(entry, **{name: mask(value) for name, value in texts.items() if value})


def decoded(entries: Sequence[StoredEntry]) -> list[JournalEntry]:
    """Return a journal as the store gave it."""
    return [decode(entry.body) for entry in entries]


def new_run(
    run: str,
    automation: str,
    created: Created,
    kept: Sequence[JournalEntry] = (),
    **more: Any,
) -> NewRun:
    """Return a run for `Runs.create`; ``kept`` are results that it takes from ``retry_of``, and
    ``more`` what else a `NewRun` has."""
    if any(isinstance(entry, Succeeded) and entry.blob for entry in kept):
        more["blobs_of"] = created.retry_of or ""
    entries = tuple(encode(entry) for entry in (created, *kept))
    return NewRun(run, automation, entries, **more)
