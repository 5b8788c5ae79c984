"""Nothing the document of room npu allows, and nothing it forbids, makes the room crash."""

import asyncio
from typing import Any

import pytest
from schemathesis import GenerationMode

from deployments.npu.inference.service import DATATYPES
from tests.contract.documented import ask_all, cases, operations
from tests.contract.npu.conftest import KEY
from tests.contract.npu.in_process import room

KNOWN: dict[str, list[Any]] = {
    "model": ["fake", "default", "nobody"],
    "name": ["a", "b"],
    "version": ["1"],
    "datatype": [*DATATYPES, "BYTES"],
    "query": ["What is red?", "\u00e9", ""],  # what nobody chose has no words, and is refused
}
REFUSING = {
    "POST /api/ocr",
    "POST /v1/audio/transcriptions",
    "POST /v2/models/{name}/infer",
    "POST /v2/models/{name}/versions/{version}/infer",
}
"""What nobody chose is no picture, no sound and no two tensors of one shape: all may be refused."""


OPERATIONS = operations(asyncio.run(room()), KNOWN)


def test_every_api_of_the_room_is_documented() -> None:
    assert len(OPERATIONS) == 14
    assert REFUSING | {"POST /v1/embeddings", "POST /v1/rerank"} < set(OPERATIONS)


@pytest.mark.parametrize(("label", "mode"), cases(OPERATIONS))
def test_documented_operation_never_crashes_and_refuses_in_its_own_shape(
    runner: asyncio.Runner, label: str, mode: GenerationMode
) -> None:
    served = ask_all(runner, runner.run(room()), KEY, OPERATIONS[label], mode)
    assert served or label in REFUSING or mode is GenerationMode.NEGATIVE
