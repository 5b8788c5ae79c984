"""CEL as its definition says it, over the kinds of values that JSON has."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobot.automation.cel.budget import Budget, Results
from autobot.automation.cel.errors import CelError, NoValue, TooCostly
from autobot.automation.cel.evaluator import Evaluation
from autobot.automation.cel.lexer import words
from autobot.automation.cel.parser import Parser

VARIABLES: dict[str, Any] = {
    "x": {"a": 1, "b": None, "c-d": [1, 2.5, "three"], "t": "äöü"},
    "l": [{"n": "a", "p": 1}, {"n": "b", "p": 3}],
    "whole": 2,
    "half": 0.5,
    "e": [],
}


def value(source: str, steps: int = 200_000) -> Any:
    """What an expression is worth, as JSON."""
    tree = Parser(words(source)[0]).tree()
    return Results().plain(Evaluation(VARIABLES, Budget(steps)).of(tree))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # numbers: 1 equals 1.0, and is of another kind
        ("1 + 2 * 3", 7), ("(1 + 2) * 3", 9), ("-7 / 2", -3), ("-7 % 3", -1), ("7 % -3", 1),
        ("1 == 1.0", True), ("1 < 1.5", True), ("x.a == 1.0", True), ("true == 1", False),
        ("1.0 / 4.0", 0.25), ("double(whole) * half", 1.0), ("int(2.9)", 2), ("int('-12')", -12),
        ("0x1F", 31), ("-9223372036854775808", -(2**63)), ("1e3", 1000.0), (".5", 0.5),
        ("9223372036854775807 < 9223372036854775808.0", True),
        # text
        ("'a' + \"b\"", "ab"), (r"'\u00e4\n\x41\101'", "ä\nAA"), (r"r'\n'", "\\n"),
        ("'''it's'''", "it's"), ('"""a"b"""', 'a"b'), ("size(x.t)", 3), ("x.t.size()", 3),
        ("'abc'.contains('b') && 'abc'.startsWith('a') && 'abc'.endsWith('c')", True),
        ("'abc'.matches('^a.c$')", True), ("matches('abc', 'd')", False), ("'b' > 'a'", True),
        ("' A,b '.trim().lowerAscii().split(',')", ["a", "b"]), ("['a', 'b'].join('-')", "a-b"),
        ("'aXbX'.replace('X', '-')", "a-b-"), ("'äbc'.substring(1, 2)", "b"),
        ("'abc'.indexOf('c')", 2), ("'é'.upperAscii()", "é"),
        ("string(1.0) + string(1.5) + string(true) + string(7)", "11.5true7"),
        # null, missing keys, has()
        ("x.b == null", True), ("null == 0", False), ("has(x.a)", True), ("has(x.zz)", False),
        ("has(x.b)", True), ("has(x.zz.a.b)", False), ("has(x.b.c)", False),
        ("'a' in x", True), ("'zz' in x", False), ("2.5 in x.`c-d`", True),
        ("x['c-d'][2]", "three"), ("x['c-d'][1.0]", 2.5), ("has(x.zz) ? x.zz : 'none'", "none"),
        # a side that has no value may be done without
        ("x.zz == 1 || true", True), ("false && x.zz", False), ("true || 1 / 0 == 1", True),
        ("[1, 2].exists(i, 6 / (i - 1) == 6)", True), ("[1, 0].all(i, 6 / i > 9)", False),
        # lists and maps
        ("[1] + ['a']", [1, "a"]), ("{'a': 1, 'b': {'c': 2},}", {"a": 1, "b": {"c": 2}}),
        ("l.filter(i, i.p > 1).map(i, i.n)", ["b"]), ("l.map(i, i.p > 1, i.n)", ["b"]),
        ("l.all(i, i.p > 0)", True), ("l.exists_one(i, i.p == 3)", True), ("x.map(k, k)[0]", "a"),
        ("e.all(i, false)", True), ("e.exists(i, true)", False), ("e.map(i, i)", []),
        ("[1, 2].map(i, [3].map(j, i + j))", [[4], [5]]), ("[[1]].map(i, i.map(i, i + 1))", [[2]]),
        ("[1, 2.0] == [1.0, 2] && {'a': 1} == {'a': 1.0}", True), ("size(l) + size(x)", 6),
        # times
        ("timestamp('2027-03-28T03:00:00+02:00')", "2027-03-28T01:00:00Z"),
        ("timestamp('2027-03-28T00:00:00Z') + duration('1h30m')", "2027-03-28T01:30:00Z"),
        ("timestamp('2027-01-02T00:00:00Z') - timestamp('2027-01-01T00:00:00Z')", "86400s"),
        ("duration('1.5s') < duration('2s')", True), ("duration('-90s')", "-90s"),
        ("timestamp('2027-07-01T23:30:00Z').getDate('Europe/Berlin')", 2),
        ("timestamp('2027-07-01T23:30:00Z').getHours('-01:00')", 22),
        ("int(timestamp('1970-01-01T00:01:00Z'))", 60), ("duration('90m').getHours()", 1),
        ("timestamp(60) == timestamp('1970-01-01T00:01:00.000Z')", True),
    ],
)  # fmt: skip
def test_an_expression_has_the_value_that_cel_gives_it(source: str, expected: Any) -> None:
    result = value(source)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("source", "words_of_error"),
    [
        ("9223372036854775807 + 1", "64 bits"),
        ("-(-9223372036854775808)", "64 bits"),
        ("9223372036854775808", "64 bits"),
        ("-9223372036854775808 / -1", "64 bits"),
        ("-9223372036854775808 % -1", "64 bits"),
        ("1e999", "too large"),
        ("1 / 0", "zero"),
        ("1 % 0", "zero"),
        ("1.0 / 0.0", "no number in JSON"),
        ("0.0 / 0.0", "no number in JSON"),
        ("1 + 1.0", "double()"),
        ("1 + true", "no meaning"),
        ("'a' * 3", "no meaning"),
        ("1 < 'a'", "no meaning"),
        ("!1", "true or false"),
        ("-'a'", "no negative"),
        ("1 ? 2 : 3", "true or false"),
        ("x.zz", "no such key: 'zz'"),
        ("x.b.c", "null has no field"),
        ("x.a.b", "int has no field"),
        ("x.t.__class__", "string has no field"),
        ("l[2]", "2 items"),
        ("l[-1]", "none at -1"),
        ("l['a']", "no item"),
        ("x[0]", "no field"),
        ("zz", "no 'zz'"),
        ("{1: 2}", "keys of a map"),
        ("{'a': 1, 'a': 2}", "keys of a map"),
        ("-false", "no negative"),
        ("[1, 0].map(i, 1 / i)", "zero"),
        ("has(x.a.b)", "no fields"),
        ("has(x.a.b.c)", "no fields"),
        ("has(x.b[0].c)", "no field"),
        ("'a'.matches('a' + 'b')", "written out"),
        ("matches('a', x.t)", "written out"),
        ("'a'.matches(1)", "written out"),
        ("'a'.matches('(')", "pattern"),
        ("x.all(k, 1)", "true or false"),
        ("1.map(i, i)", "list or a map"),
        ("half.map(i, i)", "not: double"),
        ("timestamp('2027-02-30T00:00:00Z')", "moment"),
        ("timestamp('tomorrow')", "written as"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1h')", "9999"),
        ("duration('x')", "90s"),
        ("duration('320000000000s')", "ten thousand"),
        ("int(1e30)", "64 bits"),
        ("int('1_0')", "int"),
        ("timestamp(0).getHours('Mars/One')", "time zone"),
        ("timestamp(0).getHours('../etc')", "zone"),
        ("string(null)", "string"),
        ("[1].join(',')", "join"),
        ("'abc'.substring(2, 1)", "outside"),
    ],
)
def test_what_has_no_value_is_an_error_that_says_why(source: str, words_of_error: str) -> None:
    with pytest.raises(CelError, match=words_of_error.replace("(", r"\(").replace(")", r"\)")):
        value(source)


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ("1 +", 4), ("1 + * 2", 5), ("(1", 3), ("[1, 2", 6), ("x.", 3), ("x.(1)", 3), ("1 2", 3),
        ("a # b", 3), ("'open", 1), ("has(x)", 1), ("l.map(1, 2)", 3), ("1u", 1), ("b'x'", 1),
        ("!-1", 1), ("{'a' 1}", 6), ("x ? 1", 6), ("'\\q'", 1), ("'\\ud800'", 1), ("a..b", 3),
        ("1 = 2", 3), ("{{7*7}}", 6), ("in", 1), ("x.in", 3), ("a = b", 3), ("", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_told_with_its_column(source: str, column: int) -> None:
    with pytest.raises(CelError) as caught:
        Parser(words(source)[0]).tree()
    assert caught.value.column == column, caught.value.detail


@pytest.mark.parametrize(
    "source",
    [
        "(" * 5_000 + "1" + ")" * 5_000,
        "[" * 400 + "]" * 400,
        "!" * 900 + "true",
        "- " * 900 + "1",
        "+".join(["1"] * 480),
        "true ? 1 : " * 100 + "1",
        "x" + ".a" * 480,
        "x" + "[0]" * 300,
        "1" * 100_000,
        "[1].map(a, " * 60 + "1" + ")" * 60,
        "1 || " * 400 + "true",
    ],
)
def test_what_is_too_long_or_too_deep_is_refused_before_it_is_evaluated(source: str) -> None:
    with pytest.raises(CelError, match=r"deep|at most"):
        Parser(words(source)[0]).tree()


LIST = "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]"


@pytest.mark.parametrize(
    "source",
    [
        f"{LIST}.map(a, {LIST}.map(b, {LIST}.map(c, {LIST}.map(d, {LIST}.map(e, 1)))))",
        f"{LIST}.exists(a, {LIST}.exists(b, {LIST}.exists(c, {LIST}.exists(d, "
        f"{LIST}.exists(e, {LIST}.exists(f, 1 / 0 == 1))))))",
        "['" + "a" * 100 + "']" + ".map(s, s + s)" * 40,
        "[[1]]" + ".map(s, s + s)" * 40,
        "[[1]]" + ".map(s, [s, s])" * 40,
        "['aaaaaaaa']" + ".map(s, s.replace('a', 'aaaaaaaaaaaaaaaaaaaa'))" * 20,
        "[['aaaaaaaa', 'bbbbbbbb']]" + ".map(s, [s.join(s[0]), s.join(s[1])])" * 20,
        "[[[1]]]" + ".map(s, [s, s])" * 20 + " == " + "[[[1]]]" + ".map(s, [s, s])" * 20,
        "['" + "a" * 1_000 + "']" + ".map(s, s + s)" * 10 + ".map(s, s.matches('(a?){400}b'))",
    ],
)
def test_what_grows_without_end_is_stopped(source: str) -> None:
    with pytest.raises((TooCostly, NoValue), match=r"too long|too large|too many|letters|pattern"):
        value(source)


def test_values_deeper_than_the_stack_are_compared() -> None:
    for bottom, expected in ((1, True), (2, False)):
        left: Any = 1
        right: Any = bottom
        for _ in range(5_000):
            left, right = [{"a": left}], [{"a": right}]
        tree = Parser(words("p == q")[0]).tree()
        assert Evaluation({"p": left, "q": right}, Budget()).of(tree) is expected


def test_comparing_maps_costs_what_their_keys_do() -> None:
    tree = Parser(words("p == q")[0]).tree()
    many = {str(number): 1 for number in range(1_000)}
    long = {"a" * 64_000: 1}
    for value_, steps in ((many, 1_000), (long, 1_000)):
        with pytest.raises(TooCostly):
            Evaluation({"p": value_, "q": {**value_}}, Budget(steps)).of(tree)
        other = {**value_, "x": 1}
        assert Evaluation({"p": value_, "q": other}, Budget(10)).of(tree) is False


def test_looking_for_a_time_zone_costs_more_than_a_sum() -> None:
    hours = "{}.exists(i, timestamp(0).getHours('{}') > 24)".format
    assert value(hours(LIST, "UTC"), steps=200) is False
    with pytest.raises(TooCostly):
        value(hours(LIST, "Europe/Riga"), steps=600)


def test_what_is_too_costly_is_not_done_without() -> None:
    with pytest.raises(TooCostly):
        value(f"{LIST}.exists(i, {LIST}.all(j, j > 0)) || true", steps=30)


def test_a_regular_expression_that_keeps_others_busy_is_quick() -> None:
    assert value("'" + "a" * 3_000 + "!'.matches('^(a+)+$')") is False


@given(st.text(alphabet="xal.[](){}'\"+-*/%!<>=&|?:,0123 \\`", max_size=60))
def test_any_text_has_a_value_or_an_error_of_ours(source: str) -> None:
    try:
        value(source, steps=10_000)
    except CelError:
        return


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1).filter(bool))
def test_division_and_remainder_fit_together(left: int, right: int) -> None:
    VARIABLES["p"], VARIABLES["q"] = left, right
    if (left, right) != (-(2**63), -1):
        assert value("(p / q) * q + p % q == p") is True


@given(st.timedeltas(timedelta(days=-9_000), timedelta(days=9_000)))
def test_a_duration_is_read_as_it_is_written(span: timedelta) -> None:
    VARIABLES["d"] = span
    assert value("duration(string(d)) == d") is True
