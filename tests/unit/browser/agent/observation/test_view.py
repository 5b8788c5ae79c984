"""A page in few lines: what a small model needs of it, and nothing out of its reach."""

import time

from deployments.browser.agent.observation.view import LONGEST_LINE, view_of

MENU = """\
- navigation [ref=e1]:
  - list [ref=e2]:
    - listitem [ref=e3]:
      - link "Shop" [ref=e4]
    - listitem [ref=e5]:
      - link "Forum" [ref=e6]
- main [ref=e7]:
  - heading "Home" [level=1] [ref=e8]
  - list [ref=e9]:
    - listitem [ref=e10]:
      - link "News" [ref=e11]
"""


def test_a_navigation_is_one_line_and_other_lists_are_not() -> None:
    view = view_of(MENU)
    assert view.lines == [
        'navigation: [e4] link "Shop" | [e6] link "Forum"',
        "# Home",
        '- [e11] link "News"',
    ]
    assert [element.name for element in view.usable(0, 1)] == ["Shop", "Forum"]


def test_everything_of_a_long_navigation_can_be_used() -> None:
    links = [f'  - link "Department number {n}" [ref=e{n}]' for n in range(2, 60)]
    view = view_of("\n".join(["- navigation [ref=e1]:", *links, "- text: end"]))
    assert all(len(line) <= LONGEST_LINE for line in view.lines)
    assert all(line.startswith("navigation: [") for line in view.lines[:-1])
    assert len(view.usable(0, len(view.lines))) == len(links)


def test_an_empty_navigation_is_no_line() -> None:
    assert view_of("- navigation [ref=e1]\n- text: end").lines == ["end"]


def test_a_navigations_own_words_and_use_are_shown() -> None:
    assert view_of("- navigation [ref=e1]: Page 2 of 5").lines == ["navigation: Page 2 of 5"]
    view = view_of('- navigation "Menu" [ref=e1] [cursor=pointer]: Open menu')
    assert view.usable(0, 1)[0].can == "click"
    inner = '- navigation [ref=e1]:\n  - navigation [ref=e2]:\n    - link "Home" [ref=e3]'
    assert view_of(inner).lines == ['navigation: [e3] link "Home"']


def test_a_field_says_what_it_holds_beside_a_placeholder_too() -> None:
    tree = '- textbox "Name" [ref=e1]:\n  - /placeholder: in full\n  - text: Eve\n'
    tree += (
        '- textbox "Town" [ref=e2]:\n  - /placeholder: where you live\n- textbox "Age" [ref=e3]: 40'
    )
    assert view_of(tree).lines == [
        '[e1] textbox "Name" = Eve',
        '[e2] textbox "Town" (empty)',
        '[e3] textbox "Age" = 40',
    ]


def test_a_page_nested_as_deeply_as_a_page_can_be_is_seen_in_linear_time() -> None:
    def seconds(depth: int) -> float:
        lines = [f"{'  ' * n}- generic [ref=e{n}] [cursor=pointer]:" for n in range(depth)]
        began = time.process_time()
        view_of("\n".join([*lines, f"{'  ' * depth}- text: deep"]))
        return time.process_time() - began

    assert "deep" in "\n".join(view_of("- generic:\n  - text: deep").lines)
    assert seconds(25) < 1
    assert seconds(3000) < 5


def test_disabled_and_pointed_elements_in_each_other_are_looked_at_once() -> None:
    lines = [f"{'  ' * n}- generic [ref=e{n}] [cursor=pointer]:" for n in range(60)]
    began = time.process_time()
    view_of("\n".join([*lines, f'{"  " * 60}- button "x" [disabled] [ref=e99]']))
    assert time.process_time() - began < 2
