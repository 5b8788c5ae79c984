"""The agent does not order what nobody asked it to, and does when the person says so."""

import pytest

from tests.contract.browser.agent.conftest import Person
from tests.contract.browser.agent.scripted import reply_of
from tests.contract.browser.agent.site import RECEIVED

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

GOAL = "Put the honey into the cart"
PRESS = reply_of("click", ref="=Order now")
STEPS = [reply_of("click", ref="=Honey"), reply_of("click", ref="=Add to cart")]
DONE = reply_of("done", text="Total: 6.80 EUR")


async def test_a_cart_is_not_ordered_when_the_goal_says_nothing_of_it(ann: Person) -> None:
    RECEIVED.clear()
    ann.script.others[GOAL] = [*STEPS, PRESS, DONE]
    task = await ann.have(GOAL, "/shop")
    assert RECEIVED == ["/cart key=honey"]
    outcomes = {step["did"]: step["outcome"] for step in task["steps"]}
    assert outcomes['click button "Order now"'].startswith("not done: nobody asked to order")
    assert task["state"] == "done"


@pytest.mark.parametrize(("answer", "sent"), [("yes please", True), ("No, leave it.", False)])
async def test_the_person_may_say_that_it_is_wanted(ann: Person, answer: str, sent: bool) -> None:
    RECEIVED.clear()
    ask = reply_of("ask", text="Shall I order it?")
    ann.script.others[GOAL] = [*STEPS, ask, PRESS, DONE]
    task = await ann.give(GOAL, "/shop")
    await ann.until(task, lambda seen: seen["state"] == "waiting")
    told = await ann.post(f"/tasks/{task['id']}/answer", answer=answer)
    assert told.status_code == 204
    assert (await ann.end_of(task))["state"] == "done"
    assert ("/order " in RECEIVED) == sent
