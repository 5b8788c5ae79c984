"""What every speech model must do, what stands before it, and OpenAI's client in front."""

import asyncio
import io
import math
import subprocess
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import httpx
import httpx2
import numpy as np
import openai
import pytest
from fastapi import FastAPI

from autobot.errors import BadRequest, Busy, ModelNotFound, TooLarge
from deployments.npu.speech.api import speech_routes
from deployments.npu.speech.languages import CODES, WORDS, code_of, word_of
from deployments.npu.speech.recordings import Recordings
from deployments.npu.speech.service import (
    MAX_INSIDE_EACH,
    MAX_WAITING_EACH,
    RATE,
    Asked,
    Samples,
    SpeechModels,
    Transcriber,
)
from tests.contract.npu.conftest import KEY, READ_ONLY, SPEECH_MODEL, app_of, client_of

FILES = Recordings()
SPOKEN = "Please turn on the kitchen light at seven in the evening."


def tone(seconds: float, rate: int = RATE) -> Samples:
    times = np.arange(int(seconds * rate)) / rate
    return (8000 * np.sin(2 * math.pi * 440 * times)).astype(np.int16)


def wav(samples: Samples, rate: int = RATE, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return buffer.getvalue()


def packed(samples: Samples, container: str, codec: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=48_000)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.format.name, "mono", 48_000, stream.frame_size or None)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(piece))
        file.mux(stream.encode(None))
    return buffer.getvalue()


@pytest.fixture(scope="session")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sentence in the voice of espeak-ng, which the tests' set-up installs."""
    file = tmp_path_factory.mktemp("speech") / "spoken.wav"
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "140", "-w", file, SPOKEN], check=True)
    return file.read_bytes()


@pytest.fixture
async def app(transcriber: Transcriber) -> FastAPI:
    return await app_of(speech_routes(transcriber, "an engine"))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus"), ("webm", "libopus"),
     ("mp4", "aac"), ("wav", "pcm_s16le")],
)  # fmt: skip
def test_usual_formats_become_mono_samples_at_one_rate(container: str, codec: str) -> None:
    samples = FILES.decode(packed(tone(1.0), container, codec), 60)
    assert len(samples) == pytest.approx(RATE, rel=0.1)
    spectrum = np.abs(np.fft.rfft(samples[: RATE // 2].astype(float)))
    assert spectrum.argmax() * 2 == pytest.approx(440, abs=5)


def test_stereo_at_another_rate_becomes_mono_at_ours() -> None:
    samples = FILES.decode(wav(tone(1.0, 44_100), 44_100, channels=2), 60)
    assert len(samples) == pytest.approx(RATE, rel=0.01)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"\0" * 4096,
        b"not audio at all",
        wav(tone(1.0))[:30],
        wav(np.empty(0, np.int16)),
        packed(tone(1.0), "flac", "flac")[:60],
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
        (Path(__file__).parents[4] / "docs" / "web.png").read_bytes(),
        packed(tone(1.0), "au", "pcm_s16be"),  # whole, but not among the formats that are read
    ],
    ids=range(11),
)
def test_what_is_no_audio_is_refused(broken: bytes) -> None:
    with pytest.raises(BadRequest):
        FILES.decode(broken, 60)


def test_audio_longer_than_may_be_is_refused_before_it_is_all_decoded() -> None:
    with pytest.raises(TooLarge, match="longer than 2 s"):
        FILES.decode(packed(tone(60.0), "flac", "flac"), 2)


async def test_long_audio_is_heard_window_by_window(transcriber: Transcriber) -> None:
    samples = np.concatenate([np.zeros(RATE * 60, np.int16), tone(0.5)])
    transcript = await transcriber.transcribe(wav(samples), asked=Asked("en"))
    assert transcript.seconds == pytest.approx(60.5, abs=0.1)
    assert transcript.model == SPEECH_MODEL
    assert all(60 <= s.start <= s.end <= 60.6 for s in transcript.segments)


async def test_silence_has_no_words(transcriber: Transcriber) -> None:
    silence = wav(np.zeros(RATE * 2, np.int16))
    assert (await transcriber.transcribe(silence, asked=Asked("en"))).text == ""


async def test_what_cannot_be_asked_is_refused(transcriber: Transcriber) -> None:
    with pytest.raises(ModelNotFound, match="whisper-1"):
        await transcriber.transcribe(wav(tone(1)), "whisper-1")
    with pytest.raises(BadRequest, match="klingon"):
        await transcriber.transcribe(wav(tone(1)), asked=Asked("klingon"))
    with pytest.raises(TooLarge, match="bytes"):
        await transcriber.transcribe(b"\0" * ((25 << 20) + 1))


async def test_one_key_cannot_take_the_places_of_another(transcriber: Transcriber) -> None:
    short, most = wav(tone(0.5)), MAX_INSIDE_EACH + MAX_WAITING_EACH
    greedy = [transcriber.transcribe(short, asked=Asked("en"), key="a") for _ in range(most + 2)]
    modest = transcriber.transcribe(short, asked=Asked("en"), key="b")
    answers = await asyncio.gather(*greedy, modest, return_exceptions=True)
    assert [type(answer) for answer in answers[most:-1]] == [Busy, Busy]
    assert not any(isinstance(answer, BaseException) for answer in [*answers[:most], answers[-1]])


def official(app: FastAPI) -> openai.AsyncOpenAI:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app, raise_app_exceptions=False))
    return openai.AsyncOpenAI(
        api_key=KEY, base_url="http://npu/v1", http_client=http, max_retries=0
    )


async def test_openais_client_gets_every_format(app: FastAPI, speech: SpeechModels) -> None:
    create = official(app).audio.transcriptions.create
    file = ("a.wav", wav(tone(1.0)))
    plain = await create(model="default", file=file)
    assert isinstance(plain.text, str)
    verbose = await create(model=SPEECH_MODEL, file=file, response_format="verbose_json")
    assert verbose.duration == pytest.approx(1, abs=0.05)
    assert verbose.language
    for segment in verbose.segments or []:
        assert segment.start <= segment.end
    assert isinstance(await create(model="default", file=file, response_format="text"), str)
    assert "WEBVTT" in str(await create(model="default", file=file, response_format="vtt"))


@pytest.mark.parametrize("asked", ["en", "english", "EN"])
async def test_language_is_told_in_openais_words(app: FastAPI, asked: str) -> None:
    create = official(app).audio.transcriptions.create
    file = ("a.wav", wav(tone(1.0)))
    told = await create(model="default", file=file, language=asked, response_format="verbose_json")
    assert told.language == "english"


async def test_verbose_answer_has_every_field_of_openais(
    client: httpx.AsyncClient,
) -> None:
    form = {"response_format": "verbose_json", "language": "en"}
    files = {"file": ("a.wav", wav(tone(1.0)))}
    told = (await client.post("/v1/audio/transcriptions", data=form, files=files)).json()
    assert {"task", "language", "duration", "text", "segments", "usage"} == set(told)
    assert told["usage"] == {"type": "duration", "seconds": 1}
    for segment in told["segments"]:
        assert set(segment) == {
            "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob",
            "compression_ratio", "no_speech_prob",
        }  # fmt: skip


def test_every_language_has_a_word_and_a_way_back() -> None:
    assert len(CODES) == len(WORDS) == 100
    assert all(code_of(word_of(code)) == code for code in WORDS)


async def test_openais_client_gets_its_own_errors(app: FastAPI) -> None:
    create = official(app).audio.transcriptions.create
    with pytest.raises(openai.BadRequestError):
        await create(model="default", file=("a.mp3", b"broken"))
    with pytest.raises(openai.NotFoundError):
        await create(model="whisper-1", file=("a.wav", wav(tone(1.0))))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"response_format": "docx"}, 400),
        ({"temperature": "nan"}, 400),
        ({"temperature": "3"}, 400),
        ({"language": "klingon"}, 400),
        ({"stream": "true"}, 400),
        ({"timestamp_granularities[]": "word"}, 400),
        ({"model": "../x"}, 404),
        ({"prompt": "x" * 5000}, 400),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_bad_forms_are_told_in_openais_shape(
    client: httpx.AsyncClient, data: dict[str, Any], status: int
) -> None:
    files = {"file": ("a.wav", wav(tone(0.5)))}
    answer = await client.post("/v1/audio/transcriptions", data=data, files=files)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


async def test_a_form_without_a_file_is_refused(client: httpx.AsyncClient) -> None:
    for content in (b"", b"\xff", b"file=text"):
        answer = await client.post("/v1/audio/transcriptions", content=content)
        assert answer.status_code == 400


async def test_a_key_of_the_room_is_asked_for(client: httpx.AsyncClient) -> None:
    reading = {"authorization": f"Bearer {READ_ONLY}"}
    answer = await client.post("/v1/audio/transcriptions", headers=reading)
    assert answer.status_code == 403


async def test_real_speech_becomes_its_words(real_speech: SpeechModels, spoken: bytes) -> None:
    transcript = await Transcriber(real_speech, FILES).transcribe(spoken)
    assert transcript.language == "en"
    said = transcript.text.lower()
    for word in ("please", "turn", "kitchen", "light", "evening"):
        assert word in said
    assert transcript.segments[-1].end == pytest.approx(transcript.seconds, abs=1.5)


async def test_speech_that_windows_cut_in_two_is_heard_to_its_end(
    real_speech: SpeechModels, spoken: bytes
) -> None:
    sentence = FILES.decode(spoken, 60)
    pause = np.zeros(RATE * 26, np.int16)
    samples = np.concatenate([sentence, pause, sentence, pause, sentence])
    transcript = await Transcriber(real_speech, FILES).transcribe(wav(samples))
    assert transcript.text.lower().count("kitchen") == 3
    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)


async def test_subtitles_of_real_speech_have_times(
    real_speech: SpeechModels, spoken: bytes
) -> None:
    async with client_of(
        await app_of(speech_routes(Transcriber(real_speech, FILES), "an engine"))
    ) as client:
        form = {"response_format": "srt", "language": "en"}
        answer = await client.post(
            "/v1/audio/transcriptions", data=form, files={"file": ("a.wav", spoken)}
        )
    number, times, text = answer.text.splitlines()[:3]
    assert number == "1"
    assert times.startswith("00:00:00,")
    assert "kitchen" in text
    assert answer.headers["x-autobot-device"]
    assert answer.headers["x-autobot-model"] == SPEECH_MODEL
