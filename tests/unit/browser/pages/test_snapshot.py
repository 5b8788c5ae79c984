"""ARIA trees within a budget, and their differences."""

import time
from difflib import ndiff

from hypothesis import given
from hypothesis import strategies as st

from deployments.browser.pages.snapshot import MOST_LETTERS, bounded, difference, fit, tokens

TREE = """\
- generic [ref=e1]:
  - paragraph [ref=e2]: {long}
  - button "Send" [ref=e3]
  - text: more words here
  - link "Next" [ref=e4]"""


def test_a_tree_that_fits_is_left_alone() -> None:
    assert fit(TREE, 1000) == (TREE, 0)


def test_what_can_be_acted_on_stays_before_text() -> None:
    tree = "\n".join([f"- text: line {n} of text that nobody can use" for n in range(100)] + [TREE])
    shown, left_out = fit(tree, 60)
    assert 'button "Send" [ref=e3]' in shown
    assert 'link "Next" [ref=e4]' in shown
    assert shown.index("Send") < shown.index("Next")
    assert f"{left_out} more lines left out" in shown


def test_long_texts_are_cut_first() -> None:
    shown, _ = fit("- paragraph: " + "word " * 500, 5000)
    assert len(shown) < 300


@given(st.lists(st.text("abc -\"'[]=", max_size=300), max_size=80), st.integers(100, 2000))
def test_no_tree_is_over_its_budget(lines: list[str], budget: int) -> None:
    shown, left_out = fit("\n".join(lines), budget)
    assert tokens(shown) <= budget
    assert left_out >= 0


def test_a_difference_is_only_what_changed() -> None:
    after = TREE.replace('button "Send"', 'button "Sent"')
    assert difference(TREE, after) == '-  - button "Send" [ref=e3]\n+  - button "Sent" [ref=e3]'
    assert difference(TREE, TREE) == "no change"
    assert difference("", "- a") == "+- a"


LINES = st.lists(st.sampled_from([f"- line {letter}" for letter in "abcdefgh"]), max_size=12)


@given(LINES, LINES)
def test_a_difference_says_all_that_turns_one_tree_into_the_other(
    before: list[str], after: list[str]
) -> None:
    said = difference("\n".join(before), "\n".join(after)).splitlines()
    went = [line[1:] for line in said if line.startswith("-")]
    came = [line[1:] for line in said if line.startswith("+")]
    assert sorted([*before, *came]) == sorted([*after, *went])
    assert (said == ["no change"]) == (before == after)


@given(st.permutations([f"- item {n}" for n in range(9)]))
def test_a_difference_of_different_lines_is_the_shortest_there_is(after: list[str]) -> None:
    before = sorted(after)
    least = [line for line in ndiff(before, after) if line[0] in "-+"]
    assert difference("\n".join(before), "\n".join(after)).count("- item") <= len(least)


def test_a_difference_of_what_difflib_takes_minutes_for_takes_n_log_n_steps() -> None:
    def seconds(lines: int) -> float:
        before = "\n".join(f"- text: {n % 97}" for n in range(lines))
        after = "\n".join(f"- text: {n * 31 % 89}" for n in range(lines))
        began = time.process_time()
        difference(before, after)
        return time.process_time() - began

    seconds(1000)
    shorter, longer = (min(seconds(lines) for _ in range(3)) for lines in (40_000, 160_000))
    assert longer < 12 * max(0.02, shorter)


def test_a_tree_beyond_all_bounds_is_cut_at_a_line_and_the_rest_is_counted() -> None:
    tree = "- text: more of the same\n" * (2 * MOST_LETTERS // 25)
    cut, left_out = bounded(tree)
    assert len(cut) <= MOST_LETTERS
    assert cut.count("\n") + left_out == tree.count("\n")
    assert bounded("- a") == ("- a", 0)
