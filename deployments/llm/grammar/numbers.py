"""What a number between two bounds, and a multiple of a third, looks like in decimal digits."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from deployments.llm.grammar.automaton import Automaton, GrammarTooLarge, Work, explore

DIGITS = (16, 9, 6)
"""Before the point, where the bounds ask for no more: what every reader of JSON takes for the very
same number. Fewer are tried where the multiples of a large step would need too many states."""
FRACTION = 15
LONGEST = 40
MOST_MODULUS = 2000

ZERO, MINUS, POINT = 0x30, 0x2D, 0x2E


@dataclass(frozen=True)
class Bounds:
    """The numbers ``low <= x <= high`` (``<`` where open) that are multiples of ``step``."""

    low: Decimal | None = None
    low_open: bool = False
    high: Decimal | None = None
    high_open: bool = False
    step: Decimal | None = None


@dataclass(frozen=True)
class _Bound:
    """The digits of one bound, before and behind its point, without a sign."""

    whole: str
    fraction: str
    open: bool

    @classmethod
    def of(cls, value: Decimal, is_open: bool) -> "_Bound":
        whole, _, fraction = f"{abs(value):f}".partition(".")
        return cls(whole, fraction.rstrip("0"), is_open)


@dataclass(frozen=True)
class _State:
    """``against`` compares the digits so far with the two bounds': -1, 0, 1. While the whole part
    is read, that holds for numbers as long as the bound; at its end the lengths decide first."""

    part: str = "sign"
    negative: bool = False
    count: int = 0
    against: tuple[int, int] = (0, 0)
    rest: int = 0
    zero: bool = False


def automaton(bounds: Bounds, work: Work, *, whole: bool) -> Automaton:
    """Decimal numbers, ``whole`` ones alone or also with a fraction. Raises `GrammarTooLarge`."""
    for digits in DIGITS:
        try:
            reader = _Reader(bounds, whole, digits)
            return explore(_State(), reader.edges, reader.accepts, work)
        except GrammarTooLarge:
            if digits == DIGITS[-1] or bounds.step is None:
                raise
    raise GrammarTooLarge


class _Reader:
    def __init__(self, bounds: Bounds, whole: bool, digits: int) -> None:
        known = [b for b in (bounds.low, bounds.high) if b is not None]
        behind = max([0, *(_places(bound) for bound in known)])
        step_places = _places(bounds.step) if bounds.step else 0
        self.digits = max([digits, *(bound.adjusted() + 2 for bound in known)])
        # A fraction longer than the step's own is no multiple of it.
        self.places = 0 if whole else step_places if bounds.step else behind + FRACTION
        if self.digits > LONGEST or self.places > LONGEST:
            raise GrammarTooLarge
        self.scale = max(step_places, self.places)
        self.step = int(bounds.step.scaleb(self.scale)) if bounds.step else 1
        if self.step > MOST_MODULUS:
            raise GrammarTooLarge
        self.sides = {False: _upward(bounds), True: _downward(bounds)}

    def edges(self, state: object) -> Iterable[tuple[int, int, object]]:
        assert isinstance(state, _State)
        if state.part == "sign" and self.sides[True] and not state.negative:
            yield MINUS, MINUS, _State(negative=True)
        if self.sides[state.negative] is None:
            return
        if state.part == "whole" and self.places:
            against = self._lengths(state)
            yield POINT, POINT, _State("point", state.negative, 0, against, state.rest)
        more = state.count < (self.places if state.part in ("point", "fraction") else self.digits)
        if more and not state.zero:
            for digit in range(10):
                yield ZERO + digit, ZERO + digit, self._read(state, digit)

    def _read(self, state: _State, digit: int) -> _State:
        part = "whole" if state.part in ("sign", "whole") else "fraction"
        least, most = self.sides[state.negative] or (None, None)
        against = (
            _compared(least, part, state.count, state.against[0], digit),
            _compared(most, part, state.count, state.against[1], digit),
        )
        zero = state.part == "sign" and digit == 0  # nothing but a point follows a leading zero
        rest = (state.rest * 10 + digit) % self.step
        return _State(part, state.negative, state.count + 1, against, rest, zero)

    def _lengths(self, state: _State) -> tuple[int, int]:
        """How the whole part compares, now that its length is known."""
        least, most = self.sides[state.negative] or (None, None)
        return (_by_length(least, state, 0), _by_length(most, state, 1))

    def accepts(self, state: object) -> bool:
        assert isinstance(state, _State)
        if state.part not in ("whole", "fraction"):
            return False
        read = 0 if state.part == "whole" else state.count
        if state.rest * 10 ** (self.scale - read) % self.step:
            return False
        least, most = self.sides[state.negative] or (None, None)
        low, high = self._lengths(state) if state.part == "whole" else state.against
        if least and (_ended(least, read, low) + (not least.open)) <= 0:
            return False
        return not (most and (_ended(most, read, high) - (not most.open)) >= 0)


def _upward(bounds: Bounds) -> "tuple[_Bound | None, _Bound | None] | None":
    """The bounds of numbers without a sign; None when there are none."""
    if bounds.high is not None and bounds.high < 0:
        return None
    low = bounds.low
    least = _Bound.of(low, bounds.low_open) if low is not None and low >= 0 else None
    most = _Bound.of(bounds.high, bounds.high_open) if bounds.high is not None else None
    return least, most


def _downward(bounds: Bounds) -> "tuple[_Bound | None, _Bound | None] | None":
    """The bounds of numbers with a sign, as they read without it. There is no minus zero."""
    if bounds.low is not None and bounds.low >= 0:
        return None
    below = bounds.high is not None and bounds.high < 0
    least = _Bound.of(bounds.high, bounds.high_open) if below and bounds.high else None
    most = _Bound.of(bounds.low, bounds.low_open) if bounds.low is not None else None
    return least or _Bound("0", "", True), most


def _compared(bound: _Bound | None, part: str, at: int, before: int, digit: int) -> int:
    digits = "" if bound is None else bound.whole if part == "whole" else bound.fraction
    if bound is None or before:
        return before
    there = int(digits[at]) if at < len(digits) else 0
    if part == "whole" and at >= len(digits):
        return before  # the length decides
    return (digit > there) - (digit < there)


def _by_length(bound: _Bound | None, state: _State, which: int) -> int:
    if bound is None or state.count == len(bound.whole):
        return state.against[which]
    return 1 if state.count > len(bound.whole) else -1


def _ended(bound: _Bound, read: int, against: int) -> int:
    """The comparison of the whole number: digits of the bound that were not read make it less."""
    return against or (-1 if len(bound.fraction) > read else 0)


def _places(value: Decimal) -> int:
    return max(0, -int(value.normalize().as_tuple().exponent))
