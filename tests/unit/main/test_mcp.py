"""What a tool's result becomes for a client of the Model Context Protocol."""

from typing import Any

import pytest

from autobot.contracts.tools import ToolInfo
from deployments.main.mcp.server import answered, described


def info(**properties: Any) -> ToolInfo:
    result = {"type": "object", "properties": properties}
    return ToolInfo("npu.see", "See", "", {"type": "object"}, result, ("npu",), True, "retry", 1.0)


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [("image/png", "image"), ("audio/wav", "audio"), ("application/pdf", "resource")],
)
def test_a_file_is_content_of_its_own_kind_and_is_sent_once(media_type: str, kind: str) -> None:
    tool = info(file={}, status={})
    result = {"file": {"media_type": media_type, "content": "AAAA"}, "status": 200}
    answer = answered(tool, result)
    assert [content.type for content in answer.content] == [kind, "text"]
    assert answer.model_dump_json().count("AAAA") == 1
    assert described(tool).output_schema is None


def test_a_result_is_text_for_every_client_and_structured_for_those_that_know_schemas() -> None:
    tool = info(text={"type": "string"})
    answer = answered(tool, {"text": "grüß"})
    assert answer.structured_content == {"text": "grüß"}
    assert answer.content[0].type == "text"
    assert answer.content[0].text == '{"text": "grüß"}'
    assert described(tool).output_schema == tool.result


def test_a_name_has_no_dot_and_the_hints_are_the_tools_own() -> None:
    tool = described(info())
    assert tool.name == "npu_see"
    assert tool.annotations is not None
    assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (True, False)
