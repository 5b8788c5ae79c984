"""The tool `npu.ocr`."""

from typing import Any

from pydantic import Base64Bytes, Field

from autobot.contracts.tools import ToolCall
from autobot.tools.tool import Arguments, Tool
from deployments.npu.ocr.schemas import OcrAnswer
from deployments.npu.ocr.service import Reader


class OcrArguments(Arguments):
    file: Base64Bytes = Field(description="A picture, or a PDF or TIFF file, in base64.")
    page: int | None = Field(
        None, ge=1, le=1 << 20, description="The only page to read, from 1; else up to 20 pages."
    )


def ocr_tools(reader: Reader, engine: str) -> list[Tool[Any, Any]]:
    """Return the tool around ``reader``; ``engine`` goes into its result."""

    async def ocr(given: OcrArguments, call: ToolCall) -> OcrAnswer:
        return OcrAnswer.of(await reader.read(given.file, given.page, call.caller.id), engine)

    return [
        Tool(
            name="npu.ocr",
            title="Read the text in a picture",
            description="Read the printed text in a picture, or in the pages of a scanned PDF or "
            "TIFF file, with where each line is.",
            arguments=OcrArguments,
            result=OcrAnswer,
            run=ocr,
            scopes=("npu",),
            longest_s=300,
        )
    ]
