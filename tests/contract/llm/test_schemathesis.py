"""Nothing the document of room llm allows, and nothing it forbids, makes the room crash."""

import asyncio
from typing import Any

import pytest
from schemathesis import GenerationMode

from tests.contract.documented import ask_all, cases, operations
from tests.contract.llm.in_process import KEPT, KEY, room

KNOWN: dict[str, list[Any]] = {
    "model": ["fake", "default", "seeing", "list", "nobody"],
    "name": ["fake", "list", KEPT, "no/body"],
    "previous_response_id": [None, KEPT, "resp_nobody"],
}
OPERATIONS = operations(asyncio.run(room()), KNOWN)


def test_every_api_of_the_room_is_documented() -> None:
    assert len(OPERATIONS) >= 17
    for one in ("POST /v1/chat/completions", "POST /ollama/api/chat", "POST /v1/responses"):
        assert one in OPERATIONS


@pytest.mark.parametrize(("label", "mode"), cases(OPERATIONS))
def test_documented_operation_never_crashes_and_refuses_in_its_own_shape(
    runner: asyncio.Runner, label: str, mode: GenerationMode
) -> None:
    served = ask_all(runner, runner.run(room()), KEY, OPERATIONS[label], mode)
    assert served or mode is GenerationMode.NEGATIVE
