"""The tool `npu.transcribe`."""

from typing import Any

from pydantic import Base64Bytes, BaseModel, Field

from autobot.contracts.tools import ToolCall
from autobot.tools.tool import Arguments, Tool
from deployments.npu.speech.languages import code_of
from deployments.npu.speech.service import Asked, Transcriber


class TranscribeArguments(Arguments):
    file: Base64Bytes = Field(description="WAV, MP3, FLAC, Ogg, WebM, MP4 and more, in base64.")
    language: str | None = Field(
        None, description="ISO 639-1 or its English word; found out when not given."
    )
    model: str = Field("default", description="`default`, or the name of a speech model.")


class SpokenSegment(BaseModel):
    """A few words; times in seconds from the start."""

    start: float
    end: float
    text: str


class TranscribeResult(BaseModel):
    text: str
    segments: list[SpokenSegment]
    language: str
    seconds: float = Field(description="How long the audio is.")
    model: str
    device: str


def speech_tools(transcriber: Transcriber) -> list[Tool[Any, Any]]:
    """Return the tool around ``transcriber``."""

    async def transcribe(given: TranscribeArguments, call: ToolCall) -> TranscribeResult:
        asked = Asked(code_of(given.language) if given.language else None)
        transcript = await transcriber.transcribe(given.file, given.model, asked, call.caller.id)
        return TranscribeResult(
            text=transcript.text,
            segments=[
                SpokenSegment(start=segment.start, end=segment.end, text=segment.text)
                for segment in transcript.segments
            ],
            language=transcript.language,
            seconds=transcript.seconds,
            model=transcript.model,
            device=transcript.device,
        )

    return [
        Tool(
            name="npu.transcribe",
            title="Put speech into words",
            description="Write down what is said in an audio or video file, with times.",
            arguments=TranscribeArguments,
            result=TranscribeResult,
            run=transcribe,
            scopes=("npu",),
            longest_s=600,
        )
    ]
