"""What a published field of an API may say here when it is not offered, and how that is told.

A field that would change the answer is honoured or refused with its name. Ignored are only those of
`HARMLESS`: without them the answer would be the same.
"""

from typing import Any

from pydantic import GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

HARMLESS: dict[str, str] = {
    # OpenAI
    "metadata": "a note of the client's own",
    "user": "says who asks; keys do that here",
    "safety_identifier": "as `user`",
    "service_tier": "there is one tier",
    "prompt_cache_key": "every prompt is looked up in the cache",
    "prompt_cache_options": "as `prompt_cache_key`",
    "prompt_cache_retention": "as `prompt_cache_key`",
    "prediction": "makes some servers faster; the words are the same",
    "max_tool_calls": "counts tools the server runs; it runs none",
    "stream_options.include_obfuscation": "padding against listeners, of no meaning",
    # Ollama
    "insecure": "no registry is asked without TLS by us",
    "thinking": "no model here is shown its earlier thoughts, as in Ollama's templates",
    "tool_name": "results stand in the order of their calls",
    "options.num_ctx": "the context is planned from model and memory; nothing is ever cut",
    "options.num_keep": "what stays when a context is shifted; none is",
    "options.num_batch": "computes the same",
    "options.num_gpu": "computes the same",
    "options.main_gpu": "computes the same",
    "options.num_thread": "computes the same",
    "options.numa": "computes the same",
    "options.use_mmap": "computes the same",
    "options.use_mlock": "computes the same",
    "options.low_vram": "computes the same",
    "options.f16_kv": "Ollama itself no longer reads it",
    "options.logits_all": "Ollama itself no longer reads it",
    "options.vocab_only": "Ollama itself no longer reads it",
    "options.embedding_only": "Ollama itself no longer reads it",
    "options.penalize_newline": "Ollama itself no longer reads it",
    "options.mirostat_eta": "of `mirostat`, which is refused",
    "options.mirostat_tau": "of `mirostat`, which is refused",
}
"""Published fields that are accepted and not used, and why that changes nothing."""


class NotOffered:
    """Metadata of a field of type Any: refused, but for `harmless` values, which ask for what
    happens anyway. `instead` is a remedy."""

    def __init__(self, *harmless: Any, instead: str = "") -> None:
        self._harmless = harmless
        self._instead = instead

    def _check(self, value: Any) -> Any:
        if value is None or any(value == one and type(value) is type(one) for one in self._values):
            return value
        only = " or ".join(repr(one) for one in self._harmless)
        said = f"this is not offered here{f', only {only}' if only else ''}"
        raise PydanticCustomError(
            "not_offered", "{said}", {"said": f"{said}; {self._instead}" if self._instead else said}
        )

    @property
    def _values(self) -> tuple[Any, ...]:
        return (*self._harmless, *(float(n) for n in self._harmless if type(n) is int))

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"enum": [None, *self._harmless], "description": "Not offered."}


def wrong(field: str, message: str) -> ValidationError:
    """The error of one `field`, for validators that look at several and know which is wrong."""
    error = PydanticCustomError("wrong", "{message}", {"message": message})
    return ValidationError.from_exception_data(
        "request", [{"type": error, "loc": tuple(field.split(".")), "input": None}]
    )
