"""`POST /v1/audio/transcriptions` as OpenAI has it."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from autobot.errors import Invalid
from autobot.keys import KeyRecord
from autobot.web.auth import require
from autobot.web.disconnect import unless_disconnected
from deployments.npu.error_responses import OPENAI, error_responses, origin_headers
from deployments.npu.speech.languages import code_of, word_of
from deployments.npu.speech.service import Asked, Transcriber, Transcript
from deployments.npu.speech.subtitles import srt, vtt


class SpeechRequest(BaseModel):
    """OpenAI's form."""

    model_config = ConfigDict(populate_by_name=True)

    file: UploadFile = Field(description="WAV, MP3, FLAC, Ogg, WebM, MP4 and a few more.")
    model: str = Field("default", description="`default`, or the name of a speech model.")
    language: str | None = Field(
        None, description="ISO 639-1 or its English word; found out when not given."
    )
    prompt: str = Field("", max_length=4096, description="Words that come before the audio.")
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = "json"
    temperature: float = Field(0, ge=0, le=1, allow_inf_nan=False)
    stream: bool = Field(False, description="Not offered: must be false.")
    granularities: list[Literal["segment", "word"]] = Field(
        ["segment"],
        alias="timestamp_granularities[]",
        max_length=16,
        fail_fast=True,
        description="Only `segment` is offered.",
    )

    def asked(self) -> Asked:
        """Raise `Invalid` for what is not offered: it is not silently ignored."""
        if self.stream:
            raise Invalid("stream: transcriptions are not streamed.").of("stream")
        if "word" in self.granularities:
            field = "timestamp_granularities[]"
            raise Invalid(f"{field}: words have no times of their own here.").of(field)
        language = code_of(self.language) if self.language else None
        return Asked(language, self.temperature, self.prompt)


class Transcription(BaseModel):
    """The answer as `json`; `verbose_json` adds language, duration and segments with times."""

    text: str
    usage: dict[str, Any] = Field(description="`type` is `duration`; `seconds` of audio.")


def speech_routes(transcriber: Transcriber, engine: str) -> APIRouter:
    """Return the endpoint around ``transcriber``; ``engine`` goes into a header."""
    router = APIRouter(tags=["npu"])
    refused = {400: "The audio is broken or the language unknown", 404: "No such model"}

    @router.post(
        "/v1/audio/transcriptions",
        response_model=Transcription,
        responses={200: {"content": {"text/plain": {}}}, **error_responses(OPENAI, refused)},
    )
    async def transcriptions(
        form: Annotated[SpeechRequest, Form()],
        request: Request,
        key: Annotated[KeyRecord, Depends(require("npu"))],
    ) -> Response:
        """Put what is said in an audio file into words."""
        asked = form.asked()
        audio = await form.file.read()
        work = transcriber.transcribe(audio, form.model, asked, key.id)
        transcript = await unless_disconnected(request, work)
        answer = written(transcript, form.response_format)
        answer.headers.update(origin_headers(transcript.model, transcript.device, engine))
        return answer

    return router


def written(transcript: Transcript, kind: str) -> Response:
    """Return the answer in the form ``kind``, one of `SpeechRequest.response_format`.

    Times in JSON are seconds. The caller adds the headers that say where it was made.
    """
    if kind == "text":
        return PlainTextResponse(transcript.text + "\n")
    if kind == "srt":
        return PlainTextResponse(srt(transcript.segments))
    if kind == "vtt":
        return PlainTextResponse(vtt(transcript.segments), media_type="text/vtt")
    usage = {"type": "duration", "seconds": transcript.seconds}
    body: dict[str, Any] = {"text": transcript.text, "usage": usage}
    if kind == "verbose_json":
        numbered = [{"id": i, "seek": 0, **asdict(s)} for i, s in enumerate(transcript.segments)]
        body |= {
            "task": "transcribe",
            "language": word_of(transcript.language),
            "duration": transcript.seconds,
            "segments": numbered,
        }
    return JSONResponse(body)
