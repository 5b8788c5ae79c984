"""Which answers of the model count: those that stand on the page."""

import pytest

from deployments.browser.agent.check import answer_in, doubtful, page_text, question
from deployments.browser.agent.observation.view import View, view_of
from deployments.browser.agent.prompt import Memory, Observation, Past

PAGE = "Green tea (http://shop/green-tea)\nPrice: 4.50 EUR\nin stock\nOrigin: Japan"
MEMORY = Memory("Where does the green tea come from?")


@pytest.mark.parametrize(
    "said", ["Japan", "Green tea comes from Japan.", "4.50 EUR", "It is in stock", "JAPAN"]
)
def test_an_answer_in_the_pages_and_the_goals_words_counts(said: str) -> None:
    assert answer_in(said, PAGE, MEMORY) == said


@pytest.mark.parametrize(
    "said",
    ["not yet", "Not yet.", "5.40 EUR", "4 EUR", "China", "You have successfully ordered it."],
)
def test_one_that_was_made_up_or_is_none_does_not(said: str) -> None:
    assert answer_in(said, PAGE, MEMORY) is None


def test_an_answer_of_the_goals_words_alone_is_no_answer_of_the_page() -> None:
    memory = Memory("Reply 'Thanks a lot' to the thread about tea.")
    assert answer_in("Thanks a lot", PAGE, memory) is None
    assert answer_in("", PAGE, memory) is None
    assert answer_in("Tea number 15 costs 4.50 EUR", PAGE, memory) is None
    assert answer_in("Thanks a lot", f"{PAGE}\nYour reply: Thanks a lot", memory) == "Thanks a lot"


def test_a_short_word_of_the_page_alone_is_an_answer() -> None:
    memory = Memory("Who wrote the first post?")
    assert answer_in("ann", "# ann\nMy lid is broken", memory) == "ann"
    assert answer_in("bo", "# ann\nMy lid is broken", memory) is None


def test_a_page_without_the_figures_of_the_goal_does_not_answer_it() -> None:
    memory = Memory("What does book number 30 cost?")
    assert (
        answer_in("30.00 EUR", "Book number 1 10.00 EUR\nBook number 2 30.00 EUR", memory) is None
    )
    assert answer_in("13.00 EUR", "Book number 30 13.00 EUR", memory) == "13.00 EUR"
    memory.past.append(Past('type "30" into textbox "Number"', "done"))
    assert answer_in("13.00 EUR", "It costs 13.00 EUR", memory) == "13.00 EUR"
    steps = Memory("What does book number 3 cost?", [Past("click next", "done")] * 3)
    assert answer_in("10.00 EUR", "Book number 1 10.00 EUR", steps) is None, "steps are numbered"
    dated = Memory("Who plays on 25 November 2026?")
    assert answer_in("Ann", "Nov 25: Ann", dated) == "Ann"


@pytest.mark.parametrize(
    ("said", "doubted"),
    [
        ("Thank you for your order. Your order number is ORD-4710.", False),
        ("Yes", False),
        ("ORD-4711", True),
        ("Sign in successful", True),
        ("You can search for items by typing", True),
    ],
)
def test_what_the_model_says_of_itself_is_doubted_when_half_of_it_is_from_nowhere(
    said: str, doubted: bool
) -> None:
    page = "Thank you (http://shop/order)\n# Thank you\nOrder number: ORD-4710"
    assert doubtful(said, page, Memory("Order one honey and say the order number.")) is doubted


def test_what_was_noted_on_other_pages_may_be_in_the_answer() -> None:
    memory = Memory("Which is cheaper, honey or tea?")
    assert answer_in("honey, 6.80", PAGE, memory) is None
    memory.note("Honey costs 6.80 EUR")
    assert answer_in("honey, 6.80", PAGE, memory) == "honey, 6.80"


def test_the_question_shows_the_page_without_references_and_what_was_done() -> None:
    view = View("http://shop/", "Shop", ['- [e17] link "Green tea"', '[f1e3] button "Find"', "end"])
    page = page_text(Observation(view, 0, 2, read="read text"))
    assert page == 'Shop (http://shop/)\n- link "Green tea"\nbutton "Find"\nread text'
    asked = question(MEMORY, page)
    assert asked.text.startswith(f"Web page: {page}")
    assert asked.text.endswith(MEMORY.goal)
    assert "none yet" in asked.text


def test_what_fields_hold_is_no_part_of_the_page_that_is_asked_about() -> None:
    tree = """\
- textbox "Reply" [ref=e1]: Thanks a lot
- combobox "Size" [ref=e2]:
  - option "Small"
  - option "Large" [selected]
- textbox "Name" [ref=e3]:
  - /placeholder: as in your passport
  - text: Eve
- textbox "Town" [ref=e5]:
  - /placeholder: where you live
- paragraph [ref=e4]: "Reply = Thanks a lot"
"""
    view = view_of(tree, "http://forum/", "Thread")
    assert 'textbox "Reply" = Thanks a lot' in view.text
    assert 'textbox "Name" = Eve' in view.text
    assert 'textbox "Town" (empty)' in view.text
    page = page_text(Observation(view, 0, len(view.lines)))
    assert 'textbox "Reply"\n' in page
    assert 'combobox "Size" options: Small | Large' in page
    assert 'textbox "Name"\ntextbox "Town"\n' in page
    assert "Reply = Thanks a lot" in page


def test_fields_of_one_name_are_told_apart() -> None:
    tree = '- textbox "Quantity" [ref=e1]: "1"\n- textbox "Quantity" [ref=e2]: "12"'
    assert (
        page_text(Observation(view_of(tree), 0, 2)) == '()\ntextbox "Quantity"\ntextbox "Quantity"'
    )


def test_a_long_value_is_left_out_too() -> None:
    view = view_of(f'- textbox "Essay" [ref=e1]: {"word " * 200}')
    assert "word" in view.text
    assert "word" not in page_text(Observation(view, 0, 1))


def test_the_question_is_bounded() -> None:
    view = View("http://shop/" + "u" * 5000, "t" * 5000, ["line"])
    memory = Memory("goal", notes=["n" * 5000] * 12)
    assert len(question(memory, page_text(Observation(view, 0, 1))).text) < 12 * 210 + 400
