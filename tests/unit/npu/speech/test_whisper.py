"""Whisper's algorithm on numbers made up for it."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from deployments.npu.speech.mel import BANDS, filters, log_mel
from deployments.npu.speech.service import Segment
from deployments.npu.speech.subtitles import srt, vtt
from deployments.npu.speech.whisper import (
    MOST_TOKENS,
    WINDOW,
    Floats,
    Vocabulary,
    allow,
    decode,
    detect_language,
    segments,
)

END, START, ENGLISH, GERMAN, TASK, PREVIOUS, NO_SPEECH, NO_STAMPS = range(10, 18)
FIRST = NO_STAMPS + 1
SIZE = FIRST + 1501
WORDS = Vocabulary(
    start=START, end=END, previous=PREVIOUS, transcribe=TASK, no_speech=NO_SPEECH,
    no_timestamps=NO_STAMPS, languages={"en": ENGLISH, "de": GERMAN},
    suppressed=[9, START], suppressed_first=[8, END],
)  # fmt: skip


class Script:
    """Says the tokens it was told to, whatever is forbidden aside; remembers what it was given."""

    def __init__(self, *says: int) -> None:
        self._says = says
        self.given: list[int] = []

    def begin(self) -> None:
        self.given = []

    def step(self, token: int) -> Floats:
        self.given.append(token)
        logits = np.zeros(SIZE, np.float32)
        said = self.given.index(TASK) if TASK in self.given else len(self.given)
        at = len(self.given) - said - 1
        if 0 <= at < len(self._says):
            logits[self._says[at]] = 20
        return logits


def stamp(seconds: float) -> int:
    return FIRST + round(seconds / 0.02)


def allowed(tokens: Sequence[int], change: Callable[[Floats], None] = lambda _: None) -> set[int]:
    logits = np.zeros(SIZE, np.float32)
    change(logits)
    allow(logits, tokens, WORDS)
    return set(np.flatnonzero(np.isfinite(logits)).tolist())


def test_a_window_begins_with_a_time_in_its_first_second() -> None:
    assert allowed([]) == set(range(FIRST, FIRST + 51))


def test_times_come_in_pairs_and_only_grow() -> None:
    def favour_text(logits: Floats) -> None:
        logits[:FIRST] = 20

    after_words = allowed([stamp(1), 3, 4], favour_text)
    assert stamp(1) not in after_words
    assert {3, END, stamp(1.02)} <= after_words
    after_end = allowed([stamp(1), 3, stamp(2)], favour_text)
    assert after_end & set(range(END)) == set()
    assert {END, stamp(2), stamp(3)} <= after_end
    assert stamp(1.98) not in after_end
    after_pair = allowed([stamp(1), 3, stamp(2), stamp(2)], favour_text)
    assert after_pair & set(range(FIRST, SIZE)) == set()


def test_decoding_follows_the_model_and_stops_at_the_end() -> None:
    script = Script(stamp(0), 3, 4, stamp(1.5), END)
    decoded = decode(script, [], "de", 0.0, WORDS)
    assert decoded.tokens == [stamp(0), 3, 4, stamp(1.5)]
    assert script.given[:3] == [START, GERMAN, TASK]
    assert decoded.avg_logprob > -0.1


def test_a_model_that_never_ends_is_stopped() -> None:
    assert len(decode(Script(stamp(0), *[3] * 999), [], "en", 0.0, WORDS).tokens) == MOST_TOKENS


def test_words_before_the_audio_are_given_to_the_model() -> None:
    script = Script(stamp(0), END)
    decode(script, [5, 6], "en", 0.0, WORDS)
    assert script.given[:4] == [PREVIOUS, 5, 6, START]


def test_the_same_audio_gives_the_same_words_at_a_temperature() -> None:
    one, other = (decode(Script(stamp(0)), [], "en", 0.9, WORDS).tokens for _ in range(2))
    assert one == other


def test_the_likeliest_language_is_found() -> None:
    class German(Script):
        def step(self, token: int) -> Floats:
            logits = super().step(token)
            logits[[GERMAN, 3]] = [5, 9]
            return logits

    assert detect_language(German(), WORDS) == "de"


@pytest.mark.parametrize(
    ("tokens", "found", "done"),
    [
        ([3, 4], [(0, WINDOW, [3, 4])], WINDOW),
        ([stamp(0), 3, stamp(2)], [(0, 32_000, [3])], WINDOW),
        (
            [stamp(0), 3, stamp(2), stamp(2), 4, stamp(5)],
            [(0, 32_000, [3]), (32_000, 80_000, [4])],
            WINDOW,
        ),
        ([stamp(0), 3, stamp(20), stamp(20), 4], [(0, 320_000, [3])], 320_000),
        ([stamp(0), 3, stamp(0.1), stamp(0.1), 4], [(0, 1600, [3])], WINDOW // 30),
    ],
)
def test_a_window_is_cut_at_its_times(
    tokens: list[int], found: list[tuple[int, int, list[int]]], done: int
) -> None:
    assert segments(tokens, FIRST, WINDOW) == (found, done)


def test_a_tone_lights_up_its_band() -> None:
    times = np.arange(16_000) / 16_000
    picture = log_mel((9000 * np.sin(2 * np.pi * 1000 * times)).astype(np.int16), WINDOW)
    assert picture.shape == (BANDS, 3000)
    assert picture.dtype == np.float32
    band = int(picture[:, 50].argmax())
    assert abs(filters()[band].argmax() * 40 - 1000) <= 40
    assert picture[:, 200:].max() < picture[:, :90].max()


def test_subtitles_have_the_clock_of_their_format() -> None:
    spoken = [Segment(3599.5, 3661.042, " a --> b\n\nc", [], 0, 0, 1, 0)]
    assert srt(spoken) == "1\n00:59:59,500 --> 01:01:01,042\na -> b c\n"
    assert vtt(spoken) == "WEBVTT\n\n00:59:59.500 --> 01:01:01.042\na -> b c\n"
