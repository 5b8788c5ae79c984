"""Whisper models of the catalogue (ONNX, encoder and merged decoder) on OpenVINO."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops
from tokenizers import Tokenizer

from autobot.catalogue import Catalogue
from autobot.errors import BadRequest, ModelNotFound, Unavailable
from autobot.settings import Settings
from deployments.npu.openvino.driver import Device, ran_on
from deployments.npu.speech.mel import log_mel
from deployments.npu.speech.service import RATE, Asked, Samples, Segment, Window
from deployments.npu.speech.whisper import (
    TEMPERATURES,
    WINDOW,
    Decoded,
    Vocabulary,
    decode,
    detect_language,
    segments,
)

Floats = NDArray[np.float32]
QUIET = 33
"""Samples below a thousandth of full scale are silence, in which Whisper would hear words."""
CACHED, FIRST = 0, 1
"""The branches of the merged decoder: with the words so far at hand, and without."""


class OpenVinoSpeechModels:
    """The speech models of the catalogue that are on this machine."""

    def __init__(self, settings: Settings, device: Device) -> None:
        self._catalogue = Catalogue(settings.cache)
        self._device = device

    def installed(self) -> list[str]:
        """Return the speech models on this machine, in the catalogue's order."""
        return [entry.name for entry in self._catalogue.installed("speech")]

    def resolve(self, name: str) -> str:
        """``default`` is the first of the catalogue's speech models that is here."""
        if name == "default":
            here = self.installed()
            name = here[0] if here else self._catalogue.names("speech")[0]
        entry = self._catalogue.entry(name)
        if entry.kind != "speech":
            raise ModelNotFound(f"{name} is a {entry.kind} model: it hears nothing.")
        self._catalogue.path(name)
        return name

    def load(self, name: str) -> "OpenVinoWhisper":
        folder = self._catalogue.path(name)
        try:
            return OpenVinoWhisper(name, folder, self._device)
        except Exception as error:  # tokenizers raises bare Exception, OpenVINO RuntimeError
            raise Unavailable(f"{name} cannot be loaded: {error}") from error

    def facts(self) -> dict[str, Any]:
        return self._device.facts()


class OpenVinoWhisper:
    """Two compiled graphs: sound -> what the decoder looks at; token and past -> next token."""

    def __init__(self, name: str, folder: Path, device: Device) -> None:
        self.name = name
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "generation_config.json").read_text())
        self._vocabulary = vocabulary(self._tokenizer, config)
        encoder = device.core.read_model(folder / "encoder_model_quantized.onnx")
        decoder = device.core.read_model(folder / "decoder_model_merged_quantized.onnx")
        self._say = _saying(device, decoder)
        self._hear = _hearing(device, encoder, decoder)  # takes the decoder apart: second
        detect_language(self._listen(np.zeros(RATE, np.int16)), self._vocabulary)  # warm-up

    def device(self) -> str:
        devices = (ran_on(self._hear.compiled), ran_on(self._say.compiled))
        return ",".join(dict.fromkeys(devices))

    def transcribe(self, samples: Samples, asked: Asked) -> Iterator[Window]:
        """Return windows that are made when they are asked for; an unknown language is refused now.

        A window whose words are doubtful is decoded again at the next of `TEMPERATURES`; where all
        are, the likeliest counts. A request with a temperature of its own gets one attempt.
        """
        language = asked.language
        if language and language not in self._vocabulary.languages:
            raise BadRequest(f"{self.name} does not know the language {language!r}.").of("language")
        prompt = self._tokenizer.encode(asked.prompt, add_special_tokens=False).ids
        return self._windows(samples, language, prompt, asked.temperature)

    def _windows(
        self, samples: Samples, language: str | None, prompt: list[int], temperature: float
    ) -> Iterator[Window]:
        at = 0
        while at < len(samples):
            sound = samples[at : at + WINDOW]
            if np.abs(sound.astype(np.int32)).max() < QUIET:
                yield Window([], language or "")
                at += len(sound)
                continue
            heard = self._listen(sound)
            language = language or detect_language(heard, self._vocabulary)
            decoded = self._decode(heard, prompt, language, temperature)
            if decoded.silent:
                found, done = [], len(sound)
            else:
                found, done = segments(decoded.tokens, self._vocabulary.timestamps, len(sound))
            yield Window([self._segment(at, *piece, decoded) for piece in found], language)
            prompt = []  # what came before the first window says nothing of the others
            at += done

    def _listen(self, sound: Samples) -> "_Heard":
        heard = self._hear({"input_features": log_mel(sound, WINDOW)[None]})
        return _Heard(self._say, heard)

    def _decode(
        self, heard: "_Heard", prompt: list[int], language: str, temperature: float
    ) -> Decoded:
        temperatures = (temperature,) if temperature else TEMPERATURES
        attempts: list[Decoded] = []
        for attempt in temperatures:
            decoded = decode(heard, prompt, language, attempt, self._vocabulary)
            decoded.text = self._text(decoded.tokens)
            attempts.append(decoded)
            if decoded.silent or not decoded.doubtful:
                return decoded
        return max(attempts, key=lambda decoded: decoded.avg_logprob)

    def _segment(
        self, at: int, start: int, end: int, tokens: list[int], decoded: Decoded
    ) -> Segment:
        return Segment(
            start=round((at + start) / RATE, 2),
            end=round((at + end) / RATE, 2),
            text=self._text(tokens),
            tokens=tokens,
            temperature=decoded.temperature,
            avg_logprob=round(decoded.avg_logprob, 4),
            compression_ratio=round(decoded.compression_ratio, 4),
            no_speech_prob=round(decoded.no_speech_prob, 4),
        )

    def _text(self, tokens: list[int]) -> str:
        words = [token for token in tokens if token < self._vocabulary.end]
        return self._tokenizer.decode(words)


class _Graph:
    """A compiled graph whose results have names. For one thread at a time."""

    def __init__(self, device: Device, results: dict[str, Any], parameters: list[Any]) -> None:
        make: Any = openvino.Model  # its stub takes another class for `self`
        self.compiled = device.compile(make(list(results.values()), parameters, "whisper"))
        self._names = list(results)
        self._request = self.compiled.create_infer_request()

    def __call__(self, feed: dict[str, NDArray[Any]]) -> dict[str, Floats]:
        try:
            self._request.infer(feed)
        except RuntimeError as error:
            raise Unavailable(f"OpenVINO failed on a speech model: {error}") from error
        outputs = (tensor.data.copy() for tensor in self._request.output_tensors)
        return dict(zip(self._names, outputs, strict=True))


class _Heard:
    """A window's cross-attention keys and values, and the decoder's past, as a `whisper.Heard`."""

    def __init__(self, say: _Graph, heard: dict[str, Floats]) -> None:
        self._say = say
        self._heard = heard
        self._past: dict[str, Floats] = {}

    def begin(self) -> None:
        # Nothing said yet: as what was heard, with 0 tokens. [batch, heads, tokens, width]
        nothing = {name: value[:, :, :0] for name, value in self._heard.items()}
        self._past = {name.replace("encoder", "decoder"): none for name, none in nothing.items()}

    def step(self, token: int) -> Floats:
        ids = np.array([[token]], np.int64)
        self._past = self._say({"input_ids": ids, **self._heard, **self._past})
        return self._past.pop("logits")[0, -1]


def vocabulary(tokenizer: Tokenizer, config: dict[str, Any]) -> Vocabulary:
    """Return the ids that ``tokenizer`` and ``config``, the model's generation_config.json, name.

    Raises `ValueError` when the tokenizer lacks one of the tokens.
    """

    def token(text: str) -> int:
        found = tokenizer.token_to_id(text)
        if found is None:
            raise ValueError(f"the tokenizer has no {text}")
        return found

    return Vocabulary(
        start=token("<|startoftranscript|>"),
        end=token("<|endoftext|>"),
        previous=token("<|startofprev|>"),
        transcribe=token("<|transcribe|>"),
        no_speech=token("<|notimestamps|>") - 1,  # <|nocaptions|> or <|nospeech|>, by version
        no_timestamps=token("<|notimestamps|>"),
        languages={name.strip("<|>"): found for name, found in config["lang_to_id"].items()},
        suppressed=[*config["suppress_tokens"], token("<|startoftranscript|>")],
        suppressed_first=config["begin_suppress_tokens"],
    )


def _hearing(device: Device, encoder: openvino.Model, decoder: openvino.Model) -> _Graph:
    """The encoder with the decoder's projections of what it heard: they are the same for every
    token of a window. Taken from the branch for the first token, whose other work is left out."""
    results = _branch(decoder, FIRST)
    hidden = encoder.output("last_hidden_state").get_node().input_value(0)
    decoder.input("encoder_hidden_states").get_node().output(0).replace(hidden)
    one = ops.constant(np.zeros((1, 1), np.int64))  # only its batch size is looked at
    decoder.input("input_ids").get_node().output(0).replace(one.output(0))
    kept = {name: result for name, result in results.items() if ".encoder." in name}
    return _Graph(device, kept, encoder.get_parameters())


def _saying(device: Device, decoder: openvino.Model) -> _Graph:
    """Token, past and projections -> logits and the new past."""
    results = _branch(decoder, CACHED)
    kept = {name: result for name, result in results.items() if ".encoder." not in name}
    unused = ("use_cache_branch", "encoder_hidden_states")
    parameters = [p for p in decoder.get_parameters() if p.get_friendly_name() not in unused]
    return _Graph(device, kept, parameters)


def _branch(decoder: openvino.Model, branch: int) -> dict[str, Any]:
    """The results of one branch of the merged decoder, cut loose, without attention maps: the CPU
    plugin runs no `If` whose branches differ in rank. A result is called by the input it becomes.
    """
    (choice,) = (node for node in decoder.get_ops() if node.get_type_name() == "If")
    node: Any = choice  # `If`, which its base class's stub does not show
    body = node.get_function(branch)
    parameters = body.get_parameters()
    for inner in node.get_input_descriptions(branch):
        source = node.input_value(inner.input_index)
        parameters[inner.body_parameter_index].output(0).replace(source)
    names = [output.get_any_name() for output in decoder.outputs]
    results: dict[str, Any] = {}
    for outer in node.get_output_descriptions(branch):
        name = names[outer.output_index].replace("present", "past_key_values")
        if "attentions" not in name:
            results[name] = body.get_results()[outer.body_value_index]
    return results
