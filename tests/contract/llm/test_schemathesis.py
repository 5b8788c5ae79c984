"""Nothing the document of room llm allows, and nothing it forbids, makes the room crash."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from schemathesis import GenerationMode

from tests.contract.llm.documented import MODES, ask_all, can_be_wrong, operations
from tests.contract.llm.in_process import KEPT, KEY, room

EXAMPLES = 15
"""In each mode: of requests as documented, and of others."""
KNOWN: dict[str, list[Any]] = {
    "model": ["fake", "default", "seeing", "list", "nobody"],
    "name": ["fake", "list", KEPT, "no/body"],
    "previous_response_id": [None, KEPT, "resp_nobody"],
}
OPERATIONS = operations(asyncio.run(room()), KNOWN)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def test_every_api_of_the_room_is_documented() -> None:
    assert len(OPERATIONS) >= 17
    for one in ("POST /v1/chat/completions", "POST /ollama/api/chat", "POST /v1/responses"):
        assert one in OPERATIONS


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
@pytest.mark.parametrize("label", OPERATIONS)
def test_documented_operation_never_crashes_and_refuses_in_its_own_shape(
    runner: asyncio.Runner, label: str, mode: GenerationMode
) -> None:
    operation = OPERATIONS[label]
    if mode is GenerationMode.NEGATIVE and not can_be_wrong(operation):
        pytest.skip("nothing in it can be wrong")
    served = ask_all(runner, runner.run(room()), KEY, operation, mode, EXAMPLES)
    assert served or mode is GenerationMode.NEGATIVE
