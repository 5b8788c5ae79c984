"""Bodies of the Open Inference Protocol: JSON, or JSON with numbers as bytes behind it.

The second is the protocol's binary tensor data extension, which its clients use unless they are
told otherwise: a header says where the JSON ends, and each tensor how many bytes are its own.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from autobot.errors import BadRequest, Invalid, TooLarge
from deployments.npu.embeddings.schemas import Text
from deployments.npu.inference.service import (
    MAX_ELEMENTS,
    Array,
    InferenceModel,
    Port,
    from_bytes,
    to_array,
    to_bytes,
)

EXTENSION = "binary_tensor_data"
HEADER_LENGTH = "inference-header-content-length"
MORE_COMMAS = 1 << 16
"""Of a request's JSON besides those between numbers, and of its objects: more are refused before
they are parsed, during which nothing else runs."""
MOST_ROWS = 1 << 20
"""Lists of numbers that are nested as their shape is."""
Size = Annotated[int, Field(ge=0, le=MAX_ELEMENTS)]


class _Parameters(BaseModel):
    """What is not offered (shared memory, classification) is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class KServeInputParameters(_Parameters):
    binary_data_size: int | None = Field(None, ge=0, description="Bytes behind the JSON.")


class KServeOutputParameters(_Parameters):
    binary_data: bool | None = Field(None, description="Whether it is sent as bytes.")


class KServeRequestParameters(BaseModel):
    binary_data_output: bool = Field(False, description="Whether outputs are sent as bytes.")


class KServeTensor(BaseModel):
    """``data`` may be flat, or nested as ``shape`` says; none where the numbers are bytes."""

    name: Text
    shape: Annotated[list[Size], Field(max_length=16)]
    datatype: Text
    data: list[Any] | None = None
    parameters: KServeInputParameters | None = None


class KServeWanted(BaseModel):
    name: Text
    parameters: KServeOutputParameters | None = None


class KServeRequest(BaseModel):
    id: Text | None = None
    parameters: KServeRequestParameters | None = None
    inputs: Annotated[list[KServeTensor], Field(min_length=1, max_length=64)]
    outputs: Annotated[list[KServeWanted], Field(max_length=64)] = Field(default=[])

    @property
    def wanted(self) -> list[str]:
        """Names of the outputs asked for, in that order. Empty means all."""
        return [output.name for output in self.outputs]

    def binary(self, output: str) -> bool:
        """Whether ``output`` is to be sent as bytes."""
        for one in self.outputs:
            if one.name == output and one.parameters and one.parameters.binary_data is not None:
                return one.parameters.binary_data
        return self.parameters is not None and self.parameters.binary_data_output


class KServeAnswer(BaseModel):
    model_name: str
    model_version: str = "1"
    id: str | None = None
    outputs: list[KServeTensor]
    model_config = ConfigDict(protected_namespaces=())


def parse(body: bytes, header_length: str | None) -> tuple[KServeRequest, dict[str, Array]]:
    """Return a request and its inputs; raise `BadRequest` or `TooLarge`. Blocks for a second when
    there are millions of numbers."""
    length = len(body)
    if header_length is not None:
        if not header_length.isascii() or not header_length.isdigit():
            raise BadRequest(f"{HEADER_LENGTH} must be a number of bytes.")
        length = int(header_length[:20])
        if length > len(body):
            raise BadRequest(f"{HEADER_LENGTH} is {length}; the body has {len(body)} bytes.")
    text = body[:length]
    if text.count(b"{") > MORE_COMMAS or text.count(b"[") > MOST_ROWS:
        raise TooLarge(
            f"The JSON has too many parts; at most {MORE_COMMAS} objects and {MOST_ROWS} lists "
            "are read."
        )
    if text.count(b",") > MAX_ELEMENTS + MORE_COMMAS:
        raise TooLarge(f"The inputs have too many numbers; at most {MAX_ELEMENTS} are read.")
    try:
        asked = KServeRequest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadRequest(f"{where}: {first['msg']}" if where else first["msg"]) from error
    return asked, _arrays(asked, memoryview(body)[length:])


def _arrays(asked: KServeRequest, rest: memoryview) -> dict[str, Array]:
    feed: dict[str, Array] = {}
    total = 0
    for tensor in asked.inputs:
        if tensor.name in feed:
            raise BadRequest(f"Input {tensor.name!r} is there twice.")
        array, rest = _array(tensor, rest)
        total += array.size
        if total > MAX_ELEMENTS:
            raise TooLarge(f"The inputs have too many numbers; at most {MAX_ELEMENTS} are read.")
        feed[tensor.name] = array
    if len(rest):
        raise BadRequest(f"{len(rest)} bytes at the end of the body belong to no input.")
    return feed


def _array(tensor: KServeTensor, rest: memoryview) -> tuple[Array, memoryview]:
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if (size is None) == (tensor.data is None):
        raise BadRequest(f"Input {tensor.name!r} needs either `data` or `binary_data_size`.")
    if size is None:
        return to_array(tensor.name, tensor.datatype, tensor.shape, tensor.data or []), rest
    if size > len(rest):
        raise BadRequest(
            f"Input {tensor.name!r} has {size} bytes; {len(rest)} are left after {HEADER_LENGTH}."
        )
    array = from_bytes(tensor.name, tensor.datatype, tensor.shape, rest[:size])
    return array, rest[size:]


def write(
    asked: KServeRequest, model: InferenceModel, made: Mapping[str, Array]
) -> tuple[bytes, int | None]:
    """Return the answer's body, and where its JSON ends when bytes follow. Blocks."""
    ports = {port.name: port for port in model.outputs}
    outputs: list[dict[str, Any]] = []
    raw: list[bytes] = []
    for name, array in made.items():
        told, numbers = _told(ports[name], array, asked.binary(name))
        outputs.append(told)
        raw += numbers
    answer: dict[str, Any] = {"model_name": model.name, "model_version": "1", "outputs": outputs}
    if asked.id is not None:
        answer["id"] = asked.id
    text = json.dumps(answer, allow_nan=False).encode()
    return b"".join([text, *raw]), len(text) if raw else None


def _told(port: Port, array: Array, binary: bool) -> tuple[dict[str, Any], Sequence[bytes]]:
    told = {"name": port.name, "shape": list(array.shape), "datatype": port.datatype}
    if binary:
        numbers = to_bytes(array)
        return {**told, "parameters": {"binary_data_size": len(numbers)}}, [numbers]
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Invalid(
            f"Output {port.name!r} has values that JSON cannot carry (NaN or infinite): ask for "
            "it with `binary_data`."
        )
    return {**told, "data": array.ravel().tolist()}, []


def request_schema() -> dict[str, Any]:
    """`KServeRequest` for an OpenAPI document, which does not know its definitions."""
    schema = KServeRequest.model_json_schema()
    definitions = schema.pop("$defs")

    def inlined(value: Any) -> Any:
        if isinstance(value, list):
            return [inlined(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return inlined(definitions[value["$ref"].rpartition("/")[2]])
        return {name: inlined(one) for name, one in value.items()}

    return inlined(schema)
