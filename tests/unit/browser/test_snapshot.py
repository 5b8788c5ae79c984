"""ARIA trees within a budget, and their differences."""

from hypothesis import given
from hypothesis import strategies as st

from deployments.browser.snapshot import difference, fit, tokens

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
