"""Whisper's own algorithm around its two networks (Radford et al. 2022, and their released code).

Numbers in, numbers out: the networks come from a driver, the words from its tokenizer.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

WINDOW = 480_000
"""Samples the networks hear at once: 30 s."""
TOKEN_SAMPLES = 320
"""One timestamp token's step: 20 ms."""
MOST_TOKENS = 224
FIRST_TIMESTAMP_MAX = 50  # a segment begins within the window's first second
TEMPERATURES = (0.0, 0.4, 0.8)
"""Tried in turn while the text repeats itself or the model is not sure of it."""
REPETITIVE, UNSURE, SILENT = 2.4, -1.0, 0.6

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Ids of the tokens that mean something to the algorithm. Timestamps are the last ids."""

    start: int
    end: int
    previous: int
    transcribe: int
    no_speech: int
    no_timestamps: int
    languages: dict[str, int]
    suppressed: Sequence[int]
    suppressed_first: Sequence[int]

    @property
    def timestamps(self) -> int:
        """The id of the first timestamp, 0.00 s. Each id after it is `TOKEN_SAMPLES` later."""
        return self.no_timestamps + 1


class Heard(Protocol):
    """One window as the encoder heard it, to be put into words token by token."""

    def begin(self) -> None:
        """Forget every token so far."""
        ...

    def step(self, token: int) -> Floats:
        """Return the logits [vocabulary] of what follows ``token``. The array may be changed."""
        ...


@dataclass(slots=True)
class Decoded:
    tokens: list[int]
    temperature: float
    no_speech_prob: float
    logprobs: list[float] = field(default_factory=list[float])
    text: str = ""

    @property
    def avg_logprob(self) -> float:
        """The mean natural logarithm of the tokens' probabilities, the final token's among them.

        0.0 where nothing was decoded.
        """
        return float(np.mean(self.logprobs)) if self.logprobs else 0.0

    @property
    def compression_ratio(self) -> float:
        """How many times smaller zlib makes `text`, which has to be set first. 0.0 for no text."""
        raw = self.text.encode()
        return len(raw) / len(zlib.compress(raw)) if raw else 0.0

    @property
    def silent(self) -> bool:
        """Whether nobody speaks: the model says so, and its words are unlikely besides."""
        return self.no_speech_prob > SILENT and self.avg_logprob < UNSURE

    @property
    def doubtful(self) -> bool:
        """Whether the text repeats itself or is unlikely. `text` has to be set first."""
        return self.compression_ratio > REPETITIVE or self.avg_logprob < UNSURE


def detect_language(heard: Heard, vocabulary: Vocabulary) -> str:
    """Return the code of the language the window is most likely in. Forgets tokens said before."""
    heard.begin()
    logits = heard.step(vocabulary.start)
    return max(vocabulary.languages, key=lambda code: logits[vocabulary.languages[code]])


def decode(
    heard: Heard, prompt: Sequence[int], language: str, temperature: float, vocabulary: Vocabulary
) -> Decoded:
    """Return the tokens of one window, timestamps among them, without the final one."""
    heard.begin()
    if prompt:
        for token in (vocabulary.previous, *prompt[-(MOST_TOKENS - 1) :]):
            heard.step(token)
    silence = softmax(heard.step(vocabulary.start))[vocabulary.no_speech]
    heard.step(vocabulary.languages[language])
    logits = heard.step(vocabulary.transcribe)
    decoded = Decoded([], temperature, float(silence))
    # Seeded: the same audio gives the same words.
    chance = np.random.default_rng(0)
    while len(decoded.tokens) < MOST_TOKENS:
        allow(logits, decoded.tokens, vocabulary)
        likely = softmax(logits)
        if temperature:
            token = int(chance.choice(len(likely), p=_float64(softmax(logits / temperature))))
        else:
            token = int(likely.argmax())
        decoded.logprobs.append(float(np.log(likely[token])))
        if token == vocabulary.end:
            break
        decoded.tokens.append(token)
        logits = heard.step(token)
    return decoded


def allow(logits: Floats, tokens: Sequence[int], vocabulary: Vocabulary) -> None:
    """Forbid, in place, what may not follow ``tokens``: timestamps come in pairs and only grow."""
    first = vocabulary.timestamps
    logits[list(vocabulary.suppressed)] = -np.inf
    logits[vocabulary.no_timestamps] = -np.inf
    if not tokens:
        logits[list(vocabulary.suppressed_first)] = -np.inf
        logits[:first] = -np.inf
        logits[first + FIRST_TIMESTAMP_MAX + 1 :] = -np.inf
        return
    if tokens[-1] >= first:
        closed = len(tokens) < 2 or tokens[-2] >= first  # the last opened a segment
        if closed:
            logits[first:] = -np.inf
        else:
            logits[: vocabulary.end] = -np.inf
    if stamps := [token for token in tokens if token >= first]:
        opening = tokens[-1] >= first and len(tokens) > 1 and tokens[-2] < first
        logits[first : stamps[-1] + (not opening)] = -np.inf
    likely = softmax(logits)
    if likely[first:].sum() > likely[:first].max():
        logits[:first] = -np.inf


def segments(
    tokens: Sequence[int], first: int, samples: int
) -> tuple[list[tuple[int, int, list[int]]], int]:
    """Cut one window's tokens at its timestamps: (start, end, text tokens), in samples.

    Also return how many of the window's ``samples`` are done: speech that was cut off at its end
    is heard again with the next window.
    """
    stamped = [token >= first for token in tokens]
    cuts = [i for i in range(1, len(tokens)) if stamped[i] and stamped[i - 1]]
    ended = stamped[-2:] == [False, True]
    if not cuts:
        stamps = [token for token in tokens if token > first]
        end = (stamps[-1] - first) * TOKEN_SAMPLES if stamps else samples
        return [(0, min(end, samples), [t for t in tokens if t < first])], samples
    found: list[tuple[int, int, list[int]]] = []
    for begin, stop in zip([0, *cuts], [*cuts, len(tokens)] if ended else cuts, strict=False):
        piece = tokens[begin:stop]
        start, end = ((token - first) * TOKEN_SAMPLES for token in (piece[0], piece[-1]))
        found.append((start, min(end, samples), [t for t in piece if t < first]))
    done = samples if ended else (tokens[cuts[-1] - 1] - first) * TOKEN_SAMPLES
    return found, min(max(done, WINDOW // 30), samples)  # at least a second: never stand still


def softmax(logits: Floats) -> Floats:
    """Return probabilities from ``logits`` [vocabulary]; minus infinity becomes 0."""
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def _float64(likely: Floats) -> NDArray[np.float64]:
    exact = likely.astype(np.float64)
    return exact / exact.sum()
