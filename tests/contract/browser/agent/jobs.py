"""Twenty things to do on the site, each with the answer that shows it was done.

``moves`` are the scripted model's: elements by name as the page shows them, never by reference. The
last words of a script may quote the page (``{...}`` is a pattern), so a wrong page gives a wrong
answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Move = tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """``expected`` has to be in the task's result, and ``sends`` in what the site received.

    What only finds something sends nothing: the way to an answer is the agent's.
    """

    name: str
    goal: str
    start: str
    moves: tuple[Move, ...]
    said: str
    expected: str
    sends: tuple[str, ...] = ()

    def done(self, task: dict[str, Any], received: Sequence[str]) -> bool:
        """Whether the task ended with what was asked for, and did it."""
        right = task["state"] == "done" and self.expected.lower() in task["result"].lower()
        return right and all(sent in received for sent in self.sends)


def click(name: str) -> Move:
    return "click", name


def fill(name: str, text: str) -> Move:
    return "type", name, text


SIGN_IN = (fill("User", "ann"), fill("Password", "tea"), click("Sign in"))
EUR = r"(\d+\.\d\d) EUR"

JOBS = (
    Job("price", "What does the honey cost?", "/shop", (), r"\"Honey\"\W+" + EUR, "6.80"),
    Job("origin", "Where does the green tea come from?", "/shop", (click("Green tea"),),
        r"Origin: (\w+)", "Japan"),
    Job("stock", "Is the teapot in stock or sold out?", "/shop", (click("Teapot"),),
        r"(in stock|sold out)", "sold out"),
    Job("search", "Search the shop for 'black' and say the price of what is found.", "/shop",
        (fill("Search", "black"), click("Find")), r"\"Black tea\"\W+" + EUR, "3.20"),
    Job("cart", "Put the honey into the cart and say the total.", "/shop",
        (click("Honey"), click("Add to cart")), r"Total: " + EUR, "6.80",
        ("/cart key=honey",)),
    Job("cart-two", "Put green tea and black tea into the cart and say the total.", "/shop",
        (click("Green tea"), click("Add to cart"), click("Shop"), click("Black tea"),
         click("Add to cart")), r"Total: " + EUR, "7.70",
        ("/cart key=green-tea", "/cart key=black-tea")),
    Job("order", "Order one honey and say the order number.", "/shop",
        (click("Honey"), click("Add to cart"), click("Order now")), r"(ORD-\d+)", "ORD-4711",
        ("/cart key=honey", "/order ")),
    Job("steep", "How many minutes should oolong steep, says the forum?", "/forum",
        (click("How long to steep oolong"),), r"(\w+) minutes", "Three"),
    Job("author", "Who wrote the first post about the broken lid?", "/",
        (click("Forum"), click("Broken lid")), r"(?m)^# (ann|bo|cy)$", "ann"),
    Job("posts", "How many posts does the thread about the broken lid have?", "/forum", (),
        r"\"Broken lid\"\W+(\d+) posts", "3"),
    Job("reply", "Reply 'Thanks a lot' in the forum thread about the camping kettle.", "/forum",
        (click("Best kettle for camping"), fill("Reply", "Thanks a lot"), click("Post reply")),
        r"Your reply: ([\w ]+)", "Thanks a lot",
        ("/forum/1 reply=Thanks a lot",)),
    Job("people", "How many people live in Bergen, says the table?", "/table", (),
        r"Bergen \| Norway \| (\d+)", "291940"),
    Job("filter", "Filter the table by Denmark and name the city.", "/table",
        (("select", "Country", "Denmark"), click("Filter")), r"(?m)^\| (\w+) \| Denmark", "Aarhus"),
    Job("book", "Book for Eve, size Large, and say the booking code.", "/form",
        (fill("Name", "Eve"), ("select", "Size", "Large"), click("Book")),
        r"Booking code: (B-\d+)", "B-20",
        ("/form name=Eve&size=Large",)),
    Job("gift", "Book for Bob, size Small, as a gift; say the booking code.", "/form",
        (fill("Name", "Bob"), click("Gift"), click("Book")), r"Booking code: (B-\d+)", "B-21",
        ("/form name=Bob&size=Small&gift=on",)),
    Job("second-page", "What does book number 15 cost?", "/books", (click("Next page"),),
        r"Book number 15 " + EUR, "8.00"),
    Job("third-page", "What does book number 30 cost?", "/books",
        (click("Next page"), click("Next page")), r"Book number 30 " + EUR, "13.00"),
    Job("login", "Sign in as ann with password tea and say how many points the account has.",
        "/login", SIGN_IN, r"Points: (\d+)", "365",
        ("/login user=ann&password=tea",)),
    Job("orders", "Sign in as ann with password tea; what is the state of order ORD-99?",
        "/login", (*SIGN_IN, click("Orders")), r"ORD-99 \| ([\w ]+\w)", "on its way",
        ("/login user=ann&password=tea",)),
    Job("wrong-password", "Sign in as ann with password milk and say what the page answers.",
        "/login", (fill("User", "ann"), fill("Password", "milk"), click("Sign in")),
        r"(Wrong user or password)", "Wrong user or password",
        ("/login user=ann&password=milk",)),
)  # fmt: skip
