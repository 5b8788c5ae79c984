"""What a document must keep beyond its shape: every mistake at once, each with its place."""

import pytest

from autobot.automation.document import Automation
from autobot.automation.errors import InvalidAutomation
from autobot.automation.graph import ancestors, edges, error_branch, handlers
from autobot.automation.reading import load
from autobot.automation.validation import World, called, check

WORLD = World(
    tools=["wait", "approve", "llm.chat", "notify", "call", "http.request"],
    secrets=["TOKEN"],
    calls={"b": ["c"], "c": ["a"], "d": ["d"]},
)


def document(*steps: str, **more: str) -> str:
    """A document of single steps in flow style, and of other top keys."""
    lines = ["name: a", *(f"{key}: {value}" for key, value in more.items()), "steps:"]
    return "\n".join([*lines, *(f"- {{{step}}}" for step in steps)])


def mistakes(text: str, world: World = WORLD) -> list[tuple[int, int, str, str]]:
    """Place, path and words of every mistake; none for a good document."""
    try:
        check(text, world)
    except InvalidAutomation as error:
        return [(m.line, m.column, m.path, m.message) for m in error.mistakes]
    return []


A, B, C = "id: a, use: wait", "id: b, use: wait", "id: c, use: wait"
CHAT = "id: a, use: llm.chat"


@pytest.mark.parametrize(
    ("text", "path", "words_of_error"),
    [
        (document(A, A), "steps[1].id", "another step is called 'a'"),
        (document("id: a, use: lm.chat"), "steps[0].use", "did you mean 'llm.chat'?"),
        (document(A, B + ", needs: [aa]"), "steps[1].needs[0]", "did you mean 'a'?"),
        (document(A + ", on_error: zz"), "steps[0].on_error", "no step 'zz'"),
        (document(A, on_error="zz"), "on_error", "no step 'zz'"),
        # circles
        (document(A + ", needs: [a]"), "steps[0]", "a -> a"),
        (document(A + ", needs: [b]", B), "steps[1]", "wait for each other"),
        (document(A + ", needs: [c]", B, C), "steps[2]", "wait for each other"),
        # an error wired to itself
        (document(A, B + ", on_error: b"), "steps[1].on_error", "no handler of its own"),
        (document(A + ", on_error: b", B + ", on_error: c", C), "steps[1].on_error", "no handler"),
        (document(A + ", on_error: b", B + ", on_error: a"), "steps[0].on_error", "no handler"),
        (document(A, B + ", on_error: b", on_error="b"), "steps[1].on_error", "no handler"),
        (document(A, on_error="a"), "steps", "none starts the run"),
        (document(A + ", on_error: b", B, on_error="b"), "on_error", "another's errors already"),
        (document(A + ", on_error: b", B + ", needs: [c]", C + ", needs: [b]"), "steps[2]", "wait"),
        # calls
        (document("id: a, use: call, with: {automation: a}"), "with.automation", "a -> a"),
        (document("id: a, use: call, with: {automation: b}"),
         "with.automation", "a -> b -> c -> a"),
        (document("id: a, use: call"), "steps[0].with", "the name of an automation"),
        (document("id: a, use: call, with: {automation: '${{ inputs.x }}'}"),
         "automation", "not an expr"),
        # expressions
        (document(A + ", with: {x: '${{ 1 + }}'}"), "steps[0].with.x", "unexpected"),
        (document(A + ", with: {x: [{y: '${{ foo }}'}]}"), "steps[0].with.x[0].y", "no 'foo'"),
        (document(A + ", with: {x: '${{ inputs.x }}'}"), "steps[0].with.x", "no input 'x'"),
        (document(A + ", with: {x: '${{ steps.zz.x }}'}"), "steps[0].with.x", "no step 'zz'"),
        (document(A + ", with: {x: '${{ steps.a.x }}'}"), "steps[0].with.x", "its own result"),
        (document(A + ", with: {x: '${{ steps.b.x }}'}", B), "steps[0].with.x", "need not be over"),
        (document(A, B + ", needs: [], with: {x: '${{ steps.a.x }}'}"),
         "steps[1].with.x", "'needs'"),
        (document(A + ", with: {x: '${{ item }}'}"), "steps[0].with.x", "for_each"),
        (document(A + ", for_each: '${{ item }}'"), "steps[0].for_each", "item is only there"),
        (document(A + ", for_each: ['${{ item }}']"), "for_each[0]", "item is only there"),
        (document(A + ", if: '${{ index == 0 }}'"), "steps[0].if", "index is only there"),
        (document(A + ", with: {x: '${{ error.message }}'}"), "steps[0].with.x", "steps.ID.error"),
        (document(A + ", on_error: b", B + ", with: {x: '${{ error.step }}'}"), "steps[1].with.x",
         "failed"),
        (document(CHAT + ", with: {x: '${{ secrets.NOPE }}'}"), "steps[0].with.x",
         "no secret 'NOPE'"),
        (document(CHAT + ", with: {x: '${{ secrets.token }}'}"), "steps[0].with.x", "capital"),
        (document("id: a, use: approve, with: {message: '${{ secrets.TOKEN }}'}"),
         "steps[0].with.message", "writes down what it is given"),
        (document(A + ", with: {seconds: '${{ secrets.TOKEN }}'}"),
         "steps[0].with.seconds", "writes down"),
        (document("id: a, use: call, with: {automation: d, inputs: {x: '${{ secrets.TOKEN }}'}}"),
         "steps[0].with.inputs.x", "writes down"),
        (document(CHAT + ", for_each: ['${{ secrets.TOKEN }}']"), "for_each[0]", "under 'with'"),
        (document(A + ", if: '${{ secrets.TOKEN == \"\" }}'"), "steps[0].if", "under 'with'"),
        (document(A + ", with: {x: \"${{ 'a'.matches('(') }}\"}"), "with.x", "no regular expr"),
        (document(A + ", with: {x: \"${{ 'a'.matches(run.id) }}\"}"), "with.x", "written out"),
        (document(A + ", if: 'yes'"), "steps[0].if", "one expression"),
        (document(A + ", if: '${{ true }}!'"), "steps[0].if", "one expression"),
        (document(A + ", for_each: abc"), "steps[0].for_each", "one expression"),
        # bounds
        (document(A + ", for_each: [1, 2, 3]", limits="{items: 2}"),
         "steps[0].for_each", "3 items"),
        (document(A + ", timeout: 2h", limits="{waiting: 1h}"),
         "steps[0].timeout", "limits.waiting"),
        (document(A + ", retry: {wait: 2m}"), "steps[0].retry.wait", "longest_wait"),
        (document(A + ", with: {seconds: -1}"), "steps[0].with.seconds", "of seconds"),
        (document(A + ", with: {seconds: true}"), "steps[0].with.seconds", "of seconds"),
        (document("id: a, use: approve, with: {timeout: 2 h}"), "with.timeout", "of seconds"),
        # triggers
        (document(A, on="{schedule: {cron: '0 0 30 2 *', timezone: UTC}}"), "cron", "day-of-month"),
        (document(A, on="{schedule: {cron: '* * * * * *', timezone: UTC}}"), "cron", "five fields"),
        (document(A, on="{schedule: {cron: '* * * * *', timezone: Riga}}"), "timezone", "IANA"),
        (document(A, on="{webhook: {inputs: {x: 1}}}"), "on.webhook.inputs.x", "no input 'x'"),
        (document(A, on="{webhook: {}}", inputs="{x: {type: string}}"), "on.webhook", "no default"),
        (document(A, on="{event: {kind: alert, if: '${{ steps.a }}'}}"), "on.event[0].if", "steps"),
        (document(A, on="{webhook: {inputs: {x: '${{ secrets.TOKEN }}'}}}",
                 inputs="{x: {type: string}}"),
         "on.webhook.inputs.x", "cannot read secrets"),
        # inputs
        (document(A, inputs="{x: {type: integer, default: a}}"), "inputs.x.default", "integer"),
        (document(A, inputs="{x: {type: string, pattern: '('}}"), "inputs.x", "pattern"),
        (document(A, inputs="{x: {type: string, enum: [a], default: b}}"), "inputs.x.default", ""),
        (document(A, inputs="{x: {type: string, default: '${{ run.id }}'}}"),
         "inputs.x.default", "no expr"),
        (document(A, inputs="{x: {type: array, items: {$ref: 'http://x'}}}"), "inputs.x", "itself"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_when_a_document_is_saved(
    text: str, path: str, words_of_error: str
) -> None:
    found = mistakes(text)
    assert any(path in m[2] and words_of_error in m[3] for m in found), found
    assert all(line >= 1 and column >= 1 for line, column, *_ in found)


@pytest.mark.parametrize(
    "text",
    [
        document(A, B, C),
        document(A, B + ", needs: []", C + ", needs: [a, b], with: {x: '${{ steps.b.y }}'}"),
        document(A + ", on_error: b", B + ", with: {x: '${{ steps.a.error.detail }}'}",
                 C),
        document(A, B + ", with: {x: '${{ has(steps.a.x) ? error.step : run.id }}'}", on_error="b"),
        document(A + ", on_error: c", B + ", on_error: c", C),
        document(A + ", for_each: '${{ trigger.files }}', with: {x: '${{ item[index] }}'}"),
        document(A + ", for_each: [1, 2], if: '${{ item > 1 && index > 0 }}'"),
        document(A + ", for_each: ['x/${{ inputs.c }}', 2]", inputs="{c: {type: string}}"),
        document(A + ", with: {if: 'x ${{ run.id }}', for_each: y}"),
        document(A + ", with: {seconds: 0.9}", "id: b, use: approve, with: {timeout: null}"),
        document(A + ", with: {seconds: '${{ 1 + 1 }}'}", "id: b, use: wait, with: {seconds: 1h}"),
        document(A + ", with: {x: \"${{ 'a'.matches('^a+$') }}\"}"),
        document("id: a, use: call, with: {automation: d}"),
        document("id: a, use: call, with: {automation: e}"),
        document(A, on="{webhook: {inputs: {x: '${{ trigger.x }}'}}}",
                 inputs="{x: {type: string}}"),
        document(A, on="{manual: {}}", inputs="{x: {type: string}}"),
        document(CHAT + ", if: false, with: {x: '$ {{ no }} ${{ secrets.TOKEN }}'}"),
        document("id: a, use: llm.chat, with: {l: '${{ [1].map(steps, steps + 1) }}'}"),
    ],
)  # fmt: skip
def test_a_good_document_has_no_mistakes(text: str) -> None:
    assert mistakes(text) == []


def test_all_mistakes_are_told_at_once_in_the_order_of_the_text() -> None:
    text = document(
        "id: a, use: nope, with: {x: '${{ foo }}'}",
        "id: a, use: wait, needs: [zz]",
        on="{schedule: [{cron: x, timezone: y}]}",
        inputs="{i: {type: integer, default: a}}",
    )
    assert [(line, path) for line, _, path, _ in mistakes(text)] == [
        (2, "on.schedule[0].cron"),
        (2, "on.schedule[0].timezone"),
        (3, "inputs.i.default"),
        (5, "steps[0].use"),
        (5, "steps[0].with.x"),
        (6, "steps[1].id"),
        (6, "steps[1].needs[0]"),
    ]


def test_a_secret_that_there_is_not_is_refused_and_call_is_always_there() -> None:
    text = document(CHAT + ", with: {x: '${{ secrets.TOKEN }}'}")
    assert [m[3] for m in mistakes(text, World(secrets=()))] == ["there is no secret 'TOKEN'"]
    text = document("id: a, use: call, with: {automation: d}")
    for tools in (None, (), ("wait",)):
        assert mistakes(text, World(tools=tools)) == []


def test_the_first_mistakes_are_told_and_few_of_them_with_hints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def near(name: str, *_: object) -> list[str]:
        asked.append(name)
        return ["near"]

    monkeypatch.setattr("autobot.automation.world.get_close_matches", near)
    monkeypatch.setattr("autobot.automation.reading.get_close_matches", near)
    needs = "needs: [" + ", ".join(f"n{number}" for number in range(90)) + "]"
    found = mistakes(document(*(f"id: s{n}, use: wait, {needs}" for n in range(200))))
    assert len(found) == 50
    assert [message for *_, message in found[:11]] == [
        *(f"there is no step 'n{number}'; did you mean 'near'?" for number in range(10)),
        "there is no step 'n10'",
    ]
    assert len(asked) == 10
    keys = ", ".join(f"k{number}: 1" for number in range(5_000))
    assert len(mistakes(document("id: a, use: wait, " + keys))) == 50
    assert len(asked) == 20
    twice = "\n".join(["x: 1"] * 5_000)
    assert len(mistakes(document(A) + "\n" + twice)) == 50


def test_what_leads_to_what_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    def counted(automation: Automation) -> dict[str, frozenset[str]] | None:
        nonlocal count
        count += 1
        return ancestors(automation)

    monkeypatch.setattr("autobot.automation.scopes.ancestors", counted)
    reads = " ".join(["${{ steps.a.x + steps.b.y }}"] * 50)
    text = document(A, B, f"id: c, use: wait, with: {{x: '{reads}'}}", "id: d, use: notify",
                    on_error="d")  # fmt: skip
    assert mistakes(text) == []
    assert count == 1


def test_the_expressions_and_patterns_of_a_document_are_bounded() -> None:
    full = "'" + "${{ 1 }}" * 200 + "'"
    text = document(*(f"id: s{n}, use: wait, with: {{x: {full}}}" for n in range(10)))
    assert mistakes(text) == []
    found = mistakes(text + "\n- {id: more, use: wait, with: {x: '${{ 1 }}'}}")
    assert [m[2:] for m in found] == [
        ("steps[10].with.x", "a document has at most 2000 expressions")
    ]


COSTLY = [f"a{number}" + r"\p{L}{200}" for number in range(40)]
"""Patterns that take up to 50 ms each to read."""


def test_the_patterns_of_a_document_are_read_until_that_has_taken_too_long() -> None:
    steps = [
        f'id: s{number}, use: wait, with: {{x: \'${{{{ "".matches(r"{pattern}") }}}}\'}}'
        for number, pattern in enumerate(COSTLY)
    ]
    assert mistakes(document(steps[0])) == []
    (found,) = mistakes(document(*steps))
    assert "the pattern is no regular expression, or too large: a" in found[3]


def test_the_patterns_of_inputs_are_read_until_that_has_taken_too_long() -> None:
    inputs = [f"i{n}: {{type: string, pattern: '{one}'}}" for n, one in enumerate(COSTLY)]
    assert mistakes(document(A, inputs=f"{{{inputs[0]}}}")) == []
    (found,) = mistakes(document(A, inputs="{" + ", ".join(inputs) + "}"))
    assert "too many or too large" in found[3]


def test_a_long_key_does_not_make_a_long_mistake() -> None:
    text = document("id: a, use: wait, with: {? " + "k" * 100_000 + " : '${{ nope }}'}")
    (found,) = mistakes(text)
    assert "there is no 'nope'" in found[3]
    assert len(found[2]) < 200


def test_what_is_unknown_is_not_checked() -> None:
    assert mistakes(document("id: a, use: nope, with: {x: '${{ secrets.NOPE }}'}"), World()) == []


def test_steps_need_the_one_before_but_for_error_branches() -> None:
    automation = load(
        document(
            A + ", on_error: h",
            "id: h, use: notify",
            "id: h2, use: notify, needs: [h]",
            B,
            "id: p, use: wait, needs: [a]",
            C + ", needs: [b, p]",
            "id: last, use: notify",
            on_error="last",
        )
    ).automation
    assert handlers(automation) == {"h", "last"}
    assert error_branch(automation) == {"h", "h2", "last"}
    assert edges(automation) == {
        "a": frozenset(),
        "h": {"a"},
        "h2": {"h"},
        "b": {"a"},
        "p": {"a"},
        "c": {"b", "p"},
        "last": frozenset(),
    }
    before = ancestors(automation)
    assert before is not None
    assert before["c"] == {"a", "b", "p"}
    assert before["h2"] == {"a", "h"}


def test_nothing_comes_before_anything_in_a_circle() -> None:
    automation = load(document(A + ", needs: [b]", B)).automation
    assert ancestors(automation) is None


def test_the_automations_that_one_calls_are_known() -> None:
    text = document("id: a, use: call, with: {automation: d}", B)
    assert called(load(text).automation) == {"d"}


def test_two_hundred_steps_with_references_are_checked_quickly() -> None:
    steps = [f"id: s{n}, use: wait" for n in range(199)]
    reads = " ".join(f"${{{{ steps.s{n}.x }}}}" for n in range(199))
    assert mistakes(document(*steps, f"id: end, use: wait, with: {{x: '{reads}'}}")) == []
