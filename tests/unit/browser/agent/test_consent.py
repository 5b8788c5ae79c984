"""A button that spends or destroys is pressed only when somebody asked for that."""

import pytest

from deployments.browser.agent.consent import asked_for, uncalled_for

CART = "Put the honey into the cart and say the total."


@pytest.mark.parametrize(
    ("pressed", "asked", "word"),
    [
        ("Order now", CART, "order"),
        ("Place your order", CART, "order"),
        ("Pay 6.80 EUR", CART, "pay"),
        ("Check out", CART, "checkout"),
        ("Check-out", CART, "checkout"),
        ("Buy-now", CART, "buy"),
        ("Re-order", CART, "order"),
        ("Delete account", "Sign in and say the points.", "delete"),
        ("Delete order", "Order one honey.", "delete"),
        ("Order now", "Order one honey and say the order number.", None),
        ("Buy it", "Purchase one honey.", None),
        ("Pay now", "Make the payment for ORD-99.", None),
        ("Erase", "Delete my post.", None),
        ("Add to cart", CART, None),
        ("Orders", "Sign in and say the points.", None),
        ("Payment methods", CART, None),
        ("Post reply", "Say thanks.", None),
        ("", "", None),
    ],
)
def test_the_word_that_nobody_asked_for_is_named(
    pressed: str, asked: str, word: str | None
) -> None:
    assert uncalled_for(pressed, asked) == word


@pytest.mark.parametrize("answer", ["yes", "Yes, please.", "ok", "Sure!", "go ahead", "order it"])
def test_who_agrees_or_says_it_has_asked_for_it(answer: str) -> None:
    assert uncalled_for("Order now", asked_for("Shall I order it?", answer)) is None


@pytest.mark.parametrize(
    "answer",
    ["No", " no.", "please don't", "Better not", "stop", "cancel that", "I'd rather wait", "Nein",
     "yes, but do not order", "Ann", "now?", ""],
)  # fmt: skip
def test_anything_else_has_not(answer: str) -> None:
    assert uncalled_for("Order now", asked_for("Shall I order it?", answer)) == "order"


def test_a_question_that_only_names_it_is_no_wish() -> None:
    assert uncalled_for("Order now", asked_for("What name goes on the order?", "Ann")) == "order"
    assert (
        uncalled_for("Order now", asked_for("Which colour?", "blue, and please order it")) is None
    )
