"""Twenty jobs with the scripted model: real Chromium, real routes, a checkable result each."""

import asyncio
from typing import Any

import pytest

from tests.contract.browser.agent.conftest import Person
from tests.contract.browser.agent.jobs import JOBS, Job
from tests.contract.browser.agent.site import RECEIVED

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


async def test_the_scripted_agent_does_all_twenty_jobs(ann: Person) -> None:
    assert len(JOBS) == 20
    at_once = asyncio.Semaphore(2)

    async def one(job: Job) -> tuple[Job, dict[str, Any]]:
        async with at_once:
            return job, await ann.have(job.goal, job.start)

    RECEIVED.clear()
    ran = await asyncio.gather(*map(one, JOBS))
    wrong = [
        (job.name, task["state"], task["result"], task["error"], task["steps"])
        for job, task in ran
        if not job.done(task, RECEIVED)
    ]
    print(f"scripted agent: {len(JOBS) - len(wrong)} of {len(JOBS)}")
    assert not wrong, wrong
    assert all(task["pages"][0] == ann.home + job.start for job, task in ran)
    # No page was dumped: the whole question, rules included, fits a small context.
    assert max(map(len, ann.script.asked + ann.script.checked)) < 4 * 2500
