"""``${{ }}`` in texts: types, references, places of mistakes, and what tries to get out of it."""

import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobot.automation.errors import InvalidExpression
from autobot.automation.expressions import (
    LONGEST,
    MOST_EXPRESSIONS,
    Reference,
    holds,
    items_of,
    parse,
    reads_item,
    references,
    resolve,
)

SCOPE: dict[str, Any] = {
    "inputs": {"city": "Riga", "n": 1, "x": 1.0},
    "steps": {
        "news": {"markdown": "# Hi", "items": [{"n": 1}, {"n": 2}], "none": None, "id": 2**64 - 1}
    },
    "trigger": {"body": {"a": [1, 2]}},
    "item": {"url": "https://example.org"},
    "index": 3,
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{ steps.news.items }}", [{"n": 1}, {"n": 2}]),
        ("${{ inputs.n }}", 1),
        ("${{ inputs.x }}", 1.0),
        ("${{ steps.news.none }}", None),
        ("${{ index == 3 }}", True),
        ("${{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("${{ '}}' }}", "}}"),
        ("${{ '${{' }}", "${{"),
        ("Hello", "Hello"),
        ("$ {{ no }} and }} and $${", "$ {{ no }} and }} and $${"),
        ("${{ inputs.city }}", "Riga"),
        (" ${{ inputs.n }}", " 1"),
        ("in ${{ inputs.city }}: ${{ inputs.n }}, ${{ inputs.x }}", "in Riga: 1, 1"),
        ("${{ steps.news.none }}!${{ true }}", "!true"),
        ("${{ steps.news.items }}.", '[{"n":1},{"n":2}].'),
        ("id ${{ steps.news.id }}", "id 18446744073709551615"),
        ("at ${{ timestamp('2027-01-01T01:00:00+01:00') }}", "at 2027-01-01T00:00:00Z"),
    ],
)
def test_one_expression_keeps_its_type_and_other_text_is_joined(text: str, expected: Any) -> None:
    result = resolve(text, SCOPE)
    assert result == expected
    assert type(result) is type(expected)


def test_every_text_in_lists_and_maps_is_evaluated_and_names_are_not() -> None:
    arguments = {"${{ a }}": ["${{ index }}", {"b": "${{ item.url }}/${{ index }}"}], "c": 1.5}
    assert resolve(arguments, SCOPE) == {
        "${{ a }}": [3, {"b": "https://example.org/3"}],
        "c": 1.5,
    }


@pytest.mark.parametrize("odd", [None, [], {}, "a\0b", "\ud800", 2**70, -0.0, "${{ inputs.n }}"])
def test_odd_results_are_passed_on_as_they_are(odd: Any) -> None:
    result = resolve("${{ steps.a }}", {"steps": {"a": odd}})
    assert (result, type(result)) == (odd, type(odd))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("${{ steps.news.markdown }}", {"steps.news.markdown"}),
        ("${{ steps.news.items[0].n }}", {"steps.news.items"}),
        ("${{ steps['news']['items'][inputs.n] }}", {"steps.news.items", "inputs.n"}),
        ("${{ has(steps.news.text) ? secrets.KEY : '' }}", {"steps.news.text", "secrets.KEY"}),
        ("${{ steps.a.l.map(item, item.x + inputs.y) }}", {"steps.a.l", "inputs.y"}),
        ("${{ [1].map(i, steps.b.f.filter(j, j == i)) }}", {"steps.b.f"}),
        ("${{ trigger.body }}${{ item }}${{ run.id }}", {"trigger.body", "item", "run.id"}),
        ("${{ {'steps': inputs.a}.steps }}", {"inputs.a"}),
        ("${{ size(steps.a.x.trim()) }}", {"steps.a.x"}),
        ("no expression", set()),
    ],
)
def test_it_is_known_before_a_run_what_an_expression_reads(text: str, read: set[str]) -> None:
    assert {str(reference) for reference in references({"a": [text]})} == read


def test_an_if_that_asks_about_the_item_is_known_before_a_run() -> None:
    assert reads_item("${{ item.n > 1 }}")
    assert reads_item("${{ steps.a.ok && index == 0 }}")
    assert not reads_item("${{ steps.a.l.exists(item, item > 1) }}")
    assert not reads_item(True)


def test_what_cannot_be_written_into_a_text_is_an_error_that_names_the_step() -> None:
    with pytest.raises(InvalidExpression, match=r"step b: .*tuple") as caught:
        resolve("it is ${{ steps.a }}", {"steps": {"a": (1, 2)}}, "b")
    assert (caught.value.step, caught.value.expression) == ("b", "steps.a")


def test_a_text_has_a_bounded_number_of_expressions() -> None:
    assert resolve("${{1}}" * MOST_EXPRESSIONS, {}) == "1" * MOST_EXPRESSIONS
    with pytest.raises(InvalidExpression, match="at most 200 expressions"):
        parse("${{1}}" * (MOST_EXPRESSIONS + 1))


def test_an_expression_has_a_bounded_number_of_patterns_and_each_is_known() -> None:
    calls = " || ".join(f"inputs.city.matches('{number}')" for number in range(20))
    assert parse("${{ " + calls + " }}").expressions[0].patterns == tuple(map(str, range(20)))
    with pytest.raises(InvalidExpression, match="at most 20 patterns"):
        parse("${{ " + calls + " || matches('', '20') }}")


def test_a_text_is_compiled_once() -> None:
    assert parse("${{ inputs.a + 1 }}") is parse("${{ inputs.a + 1 }}")
    assert parse("${{ inputs.a }}").only is not None
    assert Reference("inputs", ("a",)) in parse("${{ inputs.a }}").expressions[0].references


@pytest.mark.parametrize(
    ("text", "words_of_error", "column"),
    [
        ("${{ inputs.n + }}", "unexpected", 13),
        ("${{ inputs.n", "not closed", 10),
        ("${{ }}", "unexpected", 2),
        ("${{ foo.bar }}", "there is no 'foo'; there are inputs, steps", 2),
        ("${{ steps }}", "name what is meant, as in steps.NAME", 2),
        ("${{ steps[inputs.city].x }}", "name what is meant", 2),
        ("${{ secrets.map(k, k) }}", "name what is meant", 2),
        ("${{ inputs.city.frob() }}", "no method frob()", 14),
        ("${{ now() }}", "no function now()", 2),
        ("${{ size(1, 2) }}", "so many arguments", 2),
        ("${{ inputs.city.matches(inputs.n) }}", "written out", 14),
        ("${{ " + "1 + " * 2_000 + "1 }}", "at most", 0),
    ],
)
def test_a_mistake_is_told_with_its_column_before_anything_runs(
    text: str, words_of_error: str, column: int
) -> None:
    with pytest.raises(InvalidExpression) as caught:
        parse(text)
    assert words_of_error in caught.value.detail
    assert caught.value.status == 422
    assert caught.value.column == column or not column


def test_an_error_names_step_and_expression() -> None:
    with pytest.raises(InvalidExpression) as caught:
        resolve({"url": "x/${{ steps.news.url }}"}, SCOPE, "send")
    assert caught.value.detail == "step send: no such key: 'url': steps.news.url"
    assert (caught.value.step, caught.value.expression) == ("send", "steps.news.url")


def test_a_condition_is_true_or_false_and_nothing_else() -> None:
    assert holds("${{ steps.news.markdown.startsWith('#') }}", SCOPE) is True
    assert holds(False, SCOPE) is False
    for text in ("${{ inputs.n }}", "${{ steps.news.none }}", "true", "${{ true }} "):
        with pytest.raises(InvalidExpression, match="true or false"):
            holds(text, SCOPE, "a")


def test_a_loop_takes_a_list_within_its_limit() -> None:
    assert items_of("${{ steps.news.items }}", SCOPE, 2) == [{"n": 1}, {"n": 2}]
    assert items_of(["a", "${{ index }}"], SCOPE, 2) == ["a", 3]
    assert items_of([], SCOPE, 2) == []
    with pytest.raises(InvalidExpression, match="2 items; the limit is 1"):
        items_of("${{ steps.news.items }}", SCOPE, 1, "a")
    for text in ("${{ steps.news }}", "${{ steps.news.none }}", "abc"):
        with pytest.raises(InvalidExpression, match="needs a list"):
            items_of(text, SCOPE, 9, "a")


ESCAPES = [
    # n8n's CVE-2025-68613 and its kin: to the constructor of everything
    "(function(){ return this.process.mainModule.require('child_process').execSync('id') })()",
    "this.constructor.constructor('return process')().mainModule.require('child_process')",
    "[].constructor.constructor('return 1')()",
    "inputs.constructor.constructor('return 1')()",
    "'a'.constructor",
    "inputs.city['constructor']",
    "$json.x",
    "process.env",
    "require('child_process').execSync('id')",
    "global.process.exit()",
    "`${1}`",
    # Python's own ways out
    "inputs.__class__",
    "inputs.city.__class__.__mro__[1].__subclasses__()",
    "inputs['__class__']",
    "steps.news.items.__init__.__globals__",
    "''.__class__.__base__",
    "().__class__",
    "inputs.city.format(inputs)",
    "'{0.__class__}'.format(inputs)",
    "'%s' % inputs",
    "f'{inputs}'",
    "inputs.n.__add__(1)",
    "inputs.keys()",
    "inputs.get('city')",
    "steps.news.items.append(1)",
    "__import__('os').system('id')",
    "eval('1')",
    "exec('1')",
    "open('/etc/passwd')",
    "getattr(inputs, 'city')",
    "type(inputs)",
    "globals()",
    "lambda: 1",
    "[i for i in inputs]",
    "inputs.n := 1",
    "inputs.city = 'x'",
    "inputs if true else 1",
    "not true",
    # templates of others
    "{{7*7}}",
    "{% raw %}",
    "config.items()",
    "self._TemplateReference__context",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "<%= 7*7 %>",
    "#{7*7}",
    "*{7*7}",
    "T(java.lang.Runtime).getRuntime().exec('id')",
    "''.getClass().forName('java.lang.Runtime')",
    # to take time or memory
    "9**9**9",
    "9e999",
    "99999999999999999999",
    "'a' * 999999999",
    "'a'.repeat(999999999)",
    "'a'.padStart(999999999)",
    "'%999999999s'.format(['a'])",
    "1 << 99",
    "[0] * 999999999",
    "range(999999999)",
    "lists.range(999999999)",
    "['aaaaaaaaaaaaaaaa']" + ".map(s, s + s)" * 30,
    "inputs.city.matches('((a?){500}){500}')",
    "timestamp('2027-01-01T00:00:00Z').getHours('../../etc/passwd')",
]


@pytest.mark.parametrize("expression", ESCAPES)
def test_nothing_gets_out_of_an_expression(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_process(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess.Popen, "__init__", no_process)
    started: list[str] = []
    watching = True
    sys.addaudithook(
        lambda event, _: (
            started.append(event)
            if watching and event in ("os.system", "os.exec", "os.fork", "os.posix_spawn", "exec")
            else None
        )
    )
    try:
        for text in ("${{ " + expression + " }}", "a ${{ " + expression + " }} b"):
            with pytest.raises(InvalidExpression) as caught:
                resolve(text, SCOPE, "bad")
            assert caught.value.status == 422
        assert started == []
    finally:
        watching = False


def test_what_an_input_says_is_data_and_no_expression() -> None:
    scope = {"inputs": {"a": "${{ secrets.KEY }}"}, "secrets": {"KEY": "hush"}}
    assert resolve("${{ inputs.a }}", scope) == "${{ secrets.KEY }}"
    assert resolve("x ${{ inputs.a }}", scope) == "x ${{ secrets.KEY }}"


@pytest.mark.parametrize(
    "expression",
    [
        "inputs[secrets.KEY]", "[1][secrets.KEY]", "secrets.KEY + 1", "int(secrets.KEY)",
        "timestamp(secrets.KEY)", "duration(secrets.KEY)", "timestamp(0).getHours(secrets.KEY)",
        "'a'.matches(secrets.KEY)", "secrets.KEY ? 1 : 2", "secrets.KEY.a", "{'a': 1}[secrets.KEY]",
        "bool(secrets.KEY)", "double(secrets.KEY)", "secrets.KEY.substring(99)", "-secrets.KEY",
    ],
)  # fmt: skip
def test_an_error_does_not_tell_a_secret(expression: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        resolve("${{ " + expression + " }}", SCOPE | {"secrets": {"KEY": "(hush"}})
    assert "hush" not in f"{caught.value}{caught.value.args}{caught.value.__cause__}"


def test_all_expressions_of_a_step_share_one_budget() -> None:
    scope = {"inputs": {"a": "x" * (3 << 20)}}
    assert len(resolve(["${{ inputs.a }}"] * 5, scope)) == 5
    with pytest.raises(InvalidExpression, match="letters"):
        resolve(["${{ inputs.a }}"] * 6, scope)


def test_a_value_that_is_too_deep_is_refused() -> None:
    deep: Any = "bottom"
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidExpression, match="deep"):
        resolve("${{ inputs.a }}", {"inputs": {"a": deep}})


@given(st.text(max_size=80) | st.text(alphabet="${}[]().'\" inputsea+*,0", max_size=80))
def test_any_text_has_a_value_or_an_error_of_ours(text: str) -> None:
    for whole in (text, "${{" + text + "}}"):
        with suppress(InvalidExpression):
            resolve(whole, SCOPE)


@given(st.text(alphabet="ab ${}'\"", max_size=40).filter(lambda text: "${{" not in text))
def test_a_text_without_expressions_is_itself(text: str) -> None:
    assert resolve(text, SCOPE) == text


def test_the_longest_expression_is_compiled() -> None:
    text = "'" + "a" * (LONGEST - 4) + "'"
    assert resolve("${{ " + text + " }}", {}) == text[1:-1]
