"""A button that spends or destroys is pressed only when somebody asked for that."""

import pytest

from deployments.browser.agent.restraint import uncalled_for

CART = "Put the honey into the cart and say the total."


@pytest.mark.parametrize(
    ("pressed", "asked", "word"),
    [
        ("Order now", CART, "order"),
        ("Place your order", CART, "order"),
        ("Pay 6.80 EUR", CART, "pay"),
        ("Check out", CART, "checkout"),
        ("Check-out", CART, "checkout"),
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
