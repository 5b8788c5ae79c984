"""What a document must keep beyond its shape: every mistake at once, each with its place."""

import pytest

from autobot.automation.errors import InvalidAutomation
from autobot.automation.graph import ancestors, edges, error_branch, handlers
from autobot.automation.reading import load
from autobot.automation.validation import World, called, check

WORLD = World(
    tools=["wait", "llm.chat", "notify", "call", "http.request"],
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
        (document(A + ", with: {x: '${{ error.message }}'}"), "steps[0].with.x", "steps.ID.error"),
        (document(A + ", on_error: b", B + ", with: {x: '${{ error.step }}'}"), "steps[1].with.x",
         "failed"),
        (document(A + ", with: {x: '${{ secrets.NOPE }}'}"), "steps[0].with.x", "no secret 'NOPE'"),
        (document(A + ", with: {x: '${{ secrets.token }}'}"), "steps[0].with.x", "capital"),
        (document(A + ", if: '${{ secrets.TOKEN == \"\" }}'"), "steps[0].if", "under 'with'"),
        (document(A + ", if: 'yes'"), "steps[0].if", "one expression"),
        (document(A + ", if: '${{ true }}!'"), "steps[0].if", "one expression"),
        (document(A + ", for_each: abc"), "steps[0].for_each", "one expression"),
        # bounds
        (document(A + ", for_each: [1, 2, 3]", limits="{items: 2}"),
         "steps[0].for_each", "3 items"),
        (document(A + ", timeout: 2h", limits="{waiting: 1h}"),
         "steps[0].timeout", "limits.waiting"),
        (document(A + ", retry: {wait: 2m}"), "steps[0].retry.wait", "longest_wait"),
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
        document("id: a, use: call, with: {automation: d}"),
        document("id: a, use: call, with: {automation: e}"),
        document(A, on="{webhook: {inputs: {x: '${{ trigger.x }}'}}}",
                 inputs="{x: {type: string}}"),
        document(A, on="{manual: {}}", inputs="{x: {type: string}}"),
        document(A + ", if: false, with: {x: '$ {{ no }} ${{ secrets.TOKEN }}'}"),
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
    assert ancestors(automation)["c"] == {"a", "b", "p"}
    assert ancestors(automation)["h2"] == {"a", "h"}


def test_the_automations_that_one_calls_are_known() -> None:
    text = document("id: a, use: call, with: {automation: d}", B)
    assert called(load(text).automation) == {"d"}


def test_two_hundred_steps_with_references_are_checked_quickly() -> None:
    steps = [f"id: s{n}, use: wait" for n in range(199)]
    reads = " ".join(f"${{{{ steps.s{n}.x }}}}" for n in range(199))
    assert mistakes(document(*steps, f"id: end, use: wait, with: {{x: '{reads}'}}")) == []
