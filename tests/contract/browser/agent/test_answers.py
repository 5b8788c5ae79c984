"""A page that gives the answer ends a task; one that only seems to does not."""

import asyncio

import pytest

from tests.contract.browser.agent.conftest import PRICE, Person
from tests.contract.browser.agent.scripted import reply_of
from tests.contract.browser.clients import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

GOAL = "What does the honey cost?"
BY_STEPS = [reply_of("done", text="found by steps")]


async def test_an_answer_of_the_page_is_the_result_at_once(ann: Person) -> None:
    ann.script.answers[GOAL] = ["6.80 EUR"]
    task = await ann.have(GOAL, "/shop")
    assert (task["state"], task["result"]) == ("done", "6.80 EUR")
    assert [step["did"] for step in task["steps"]] == ['done "6.80 EUR"']
    assert (task["usage"]["requests"], ann.script.asked) == (1, [])
    assert "Honey" in ann.script.checked[0]


async def test_an_answer_that_the_page_does_not_give_is_not_taken(ann: Person) -> None:
    ann.script.answers[GOAL] = ["9.99 EUR"]
    ann.script.others[GOAL] = BY_STEPS
    assert (await ann.have(GOAL, "/shop"))["result"] == "found by steps"


async def test_an_answer_that_no_page_gives_is_doubted_once(ann: Person) -> None:
    ann.script.others[GOAL] = [reply_of("done", text=text) for text in ("7.70 EUR", "6.80 EUR")]
    assert (await ann.have(GOAL, "/shop"))["result"] == "6.80 EUR"
    assert "The page does not say '7.70 EUR'" in ann.script.asked[1]
    ann.script.asked.clear()
    ann.script.others[GOAL] = [reply_of("done", text="4 things are sold")]
    assert (await ann.have(GOAL, "/shop"))["result"] == "4 things are sold"
    assert len(ann.script.asked) == 2, "it may have been counted"


async def test_an_accepted_answer_fills_the_callers_schema(ann: Person) -> None:
    ann.script.answers[GOAL] = ["6.80 EUR"]
    ann.script.outputs = [{"price": 6.8}]
    task = await ann.have(GOAL, "/shop", schema=PRICE)
    assert (task["result"], task["output"]) == ("6.80 EUR", {"price": 6.8})


async def test_each_sight_is_asked_about_once_and_again_with_a_new_note(ann: Person) -> None:
    look_back = reply_of("click", ref="=Shop")
    noted = reply_of("click", ref="=Shop")
    noted["next"]["note"] = "Tea is 4.50 EUR"
    ann.script.others["once"] = [look_back, look_back, look_back, noted, *BY_STEPS]
    await ann.have("once", "/shop")
    assert len(ann.script.checked) == 2
    assert "Tea is 4.50 EUR" in ann.script.checked[1]


async def test_what_a_field_holds_is_not_an_answer_of_the_page(ann: Person) -> None:
    """A task must not end when its form is filled: nothing has been sent yet."""
    ann.script.others["reply"] = [reply_of("type", ref="=Reply", text="Marvellous", submit=False)]
    ann.script.others["reply"] += BY_STEPS
    ann.script.answers["reply"] = ["not yet", "Marvellous"]
    task = await ann.have("reply", "/forum/1")
    assert "Marvellous" in ann.script.asked[1], "who decides what comes next sees it"
    assert len(ann.script.checked) == 1, "the page says nothing that it did not say before"
    assert task["result"] == "found by steps"


async def test_a_person_who_takes_the_wheel_meanwhile_has_the_page_asked_about_again(
    ann: Person,
) -> None:
    ann.script.answers[GOAL] = ["6.80 EUR", "6.80 EUR"]
    ann.script.slow_s = 2.0
    task = await ann.give(GOAL, "/shop")
    await until(lambda: bool(ann.script.checked))
    wheel = ann.running(task).record.wheel
    wheel.take("a person")
    await asyncio.sleep(3)
    assert (await ann.see(task))["state"] == "running"
    assert len(ann.script.checked) == 1
    wheel.release("a person")
    ended = await ann.end_of(task)
    assert (ended["state"], ended["result"]) == ("done", "6.80 EUR")
    assert len(ann.script.checked) == 2
    assert ann.script.asked == []
