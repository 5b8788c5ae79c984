"""Any other model an owner has, behind the Open Inference Protocol (KServe v2)."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from autobot.concurrency import ConcurrencyLimiter
from autobot.errors import BadRequest, TooLarge
from deployments.npu.batching.on_demand import OnDemand

MAX_ELEMENTS = 4 << 20
"""Of all inputs, and of all outputs: numbers in JSON are slow to read and write."""
MAX_WAITING, MAX_WAITING_EACH = 64, 16
"""Of all callers, and of those with one API key."""
DATATYPES = {
    "BOOL": np.bool_, "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32,
    "UINT64": np.uint64, "INT8": np.int8, "INT16": np.int16, "INT32": np.int32,
    "INT64": np.int64, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64,
}  # fmt: skip
"""The protocol's names. BYTES has no numpy type of fixed size, and is refused."""

JSON_WORDS = {
    type(None): "null", bool: "true or false", str: "a text", int: "an integer",
    float: "a fraction",
}  # fmt: skip

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output; -1 in ``shape`` is a size that may be anything."""

    name: str
    datatype: str
    shape: list[int]

    def check(self, array: Array) -> None:
        """Raise `BadRequest` unless ``array`` has this port's shape."""
        fits = len(self.shape) == array.ndim and all(
            want in (-1, have) for want, have in zip(self.shape, array.shape, strict=True)
        )
        if not fits:
            raise BadRequest(
                f"Input {self.name!r} has shape {list(array.shape)}; the model takes {self.shape}."
            )


class InferenceModel(Protocol):
    """One model on one device. `infer` blocks and is called from one thread at a time."""

    @property
    def name(self) -> str:
        """What requests call it: its file's name without the ending, or its folder's name."""
        ...

    @property
    def platform(self) -> str:
        """The protocol's word for the format, for example ``openvino_ir``."""
        ...

    @property
    def inputs(self) -> Sequence[Port]:
        """In the model's own order. A request has to send all of them, in any order."""
        ...

    @property
    def outputs(self) -> Sequence[Port]:
        """In the model's own order, in which they are sent when none is asked for by name."""
        ...

    def device(self) -> str:
        """The device the engine says it runs on, for example ``CPU``."""
        ...

    def infer(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """Raise `BadRequest` when the model cannot work on these shapes together."""
        ...


class InferenceModels(Protocol):
    """Where models come from: whatever lies in the owner's folder at the moment."""

    def installed(self) -> list[str]:
        """Return the names of what lies in the folder now. The files are not opened."""
        ...

    def load(self, name: str) -> InferenceModel:
        """Raise `ModelNotFound`; `Unavailable` when the file is no model."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return what health says of the engine, its device and the folder. Loads nothing."""
        ...


class Inference:
    """The owner's models behind one door; they load at first use, and take turns."""

    def __init__(self, models: InferenceModels) -> None:
        self._models = models
        self._loaded = OnDemand(models.load)
        self._turns = ConcurrencyLimiter(
            1, MAX_WAITING, waiting_each=MAX_WAITING_EACH, what="inferences"
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="infer")
        self.reading = ConcurrencyLimiter(
            1, MAX_WAITING, waiting_each=MAX_WAITING_EACH, what="requests to be read"
        )
        """For who parses a body: millions of numbers are hundreds of megabytes meanwhile."""

    def installed(self) -> list[str]:
        """Return the names a request may ask for, by a look at the folder. Blocks."""
        return self._models.installed()

    async def model(self, name: str) -> InferenceModel:
        """Raise what `InferenceModels.load` raises."""
        return await self._loaded.get(name)

    async def infer(
        self, name: str, feed: Mapping[str, Array], wanted: Sequence[str] = (), key: str = ""
    ) -> tuple[InferenceModel, dict[str, Array]]:
        """Return the model and its outputs, or those of ``wanted``.

        Raises `ModelNotFound`, `BadRequest` for inputs the model does not take, `TooLarge` for
        outputs of too many numbers, `Busy`. ``key``: whose turn it takes.
        """
        model = await self.model(name)
        check_inputs(model, feed)
        names = [port.name for port in model.outputs]
        if unknown := [one for one in wanted if one not in names]:
            raise BadRequest(f"{name} has no output {unknown[0]!r}; it has {', '.join(names)}.")
        async with self._turns.slot(key):
            loop = asyncio.get_running_loop()
            made = await loop.run_in_executor(self._thread, model.infer, feed)
        made = {one: made[one] for one in wanted or names}
        if (size := sum(array.size for array in made.values())) > MAX_ELEMENTS:
            raise TooLarge(f"The outputs have {size} numbers; at most {MAX_ELEMENTS} are sent.")
        return model, made

    async def facts(self) -> dict[str, Any]:
        """Does not load a model. ``device`` is None while none is loaded."""
        loaded = self._loaded.all()
        return {
            "device": ",".join(dict.fromkeys(model.device() for model in loaded)) or None,
            "models": self.installed(),
            "loaded": [model.name for model in loaded],
            **self._models.facts(),
        }


def to_array(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> Array:
    """Return a tensor of the protocol as an array; ``data`` is flat, or nested as ``shape`` says.

    Nothing is converted: a number is no truth value, a fraction no integer, and a text, ``null`` or
    what is too large for ``datatype`` no number.
    """
    size = _size(name, datatype, shape)
    try:
        _check_types(datatype, data)
        with np.errstate(over="raise"):
            array = np.array(data, dtype=DATATYPES[datatype])
    except (ValueError, TypeError, OverflowError, FloatingPointError) as error:
        raise BadRequest(f"Input {name!r} is no {datatype} tensor: {error}.") from error
    if array.size != size:
        raise BadRequest(f"Input {name!r} has {array.size} numbers; its shape says {size}.")
    if array.ndim > 1 and list(array.shape) != list(shape):
        raise BadRequest(
            f"Input {name!r} is nested as {list(array.shape)}; its shape says {list(shape)}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadRequest(f"Input {name!r} has values that are no finite {datatype} numbers.")
    return _shaped(name, array, shape)


def from_bytes(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> Array:
    """Return a tensor whose numbers are ``data``, little-endian, row by row."""
    size = _size(name, datatype, shape)
    dtype = np.dtype(DATATYPES[datatype])
    if len(data) != size * dtype.itemsize:
        raise BadRequest(
            f"Input {name!r} has {len(data)} bytes; its shape and datatype say "
            f"{size * dtype.itemsize}."
        )
    if datatype == "BOOL" and any(byte > 1 for byte in bytes(data)):
        raise BadRequest(f"Input {name!r} has bytes that are neither 0 nor 1.")
    array = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
    return _shaped(name, array, shape)


def to_bytes(array: Array) -> bytes:
    """Return the numbers little-endian, row by row: what `from_bytes` reads."""
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _size(name: str, datatype: str, shape: Sequence[int]) -> int:
    if datatype not in DATATYPES:
        raise BadRequest(
            f"Input {name!r} has datatype {datatype!r}; known: {', '.join(DATATYPES)}."
        )
    size = math.prod(shape)
    if size > MAX_ELEMENTS:
        raise TooLarge(f"Input {name!r} has {size} numbers; at most {MAX_ELEMENTS} are read.")
    return size


def _check_types(datatype: str, data: Sequence[Any]) -> None:
    kind = np.dtype(DATATYPES[datatype]).kind
    allowed = {"b": {bool}, "f": {int, float}}.get(kind, {int})
    found = set(map(type, data))
    while list in found:
        if found != {list}:
            raise ValueError("lists stand beside values")
        data = list(chain.from_iterable(data))
        found = set(map(type, data))
    if wrong := found - allowed:
        words = sorted(JSON_WORDS.get(one, "an object") for one in wrong)
        raise TypeError(f"it has {', '.join(words)}")


def _shaped(name: str, array: Array, shape: Sequence[int]) -> Array:
    try:
        return array.reshape(shape)  # an empty array too has a largest shape
    except ValueError as error:
        raise BadRequest(f"Input {name!r} cannot have this shape: {error}.") from error


def check_inputs(model: InferenceModel, feed: Mapping[str, Array]) -> None:
    """Raise `BadRequest` unless ``feed`` has exactly the model's inputs, in type and shape."""
    ports = {port.name: port for port in model.inputs}
    if set(feed) != set(ports):
        raise BadRequest(f"{model.name} takes the inputs {sorted(ports)}, not {sorted(feed)}.")
    for name, array in feed.items():
        if array.dtype != DATATYPES.get(ports[name].datatype):
            raise BadRequest(
                f"Input {name!r} is {array.dtype}; the model takes {ports[name].datatype}."
            )
        ports[name].check(array)
