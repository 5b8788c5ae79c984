"""The process that embeds llama.cpp, one for each loaded model.

Run as a script, never imported by the room. Why a process of its own: the library's constructor
holds the interpreter lock for the whole load (seconds in which a replica could not answer a probe),
a failed assertion in native code ends its process, and memory is given back only when one ends.

Protocol: one JSON line on stdin says what to load; one JSON line on stdout says it is ready. Chats
then go over llama.cpp's own HTTP listener on a Unix socket in a private folder. When stdin closes,
because the replica ended in whatever way, this process ends too.
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import xllamacpp

llama: Any = xllamacpp  # a compiled module without type stubs

BATCH = 128
"""Tokens of a prompt read in one go. Between two of them other chats get their next token and a
hang-up is noticed: about a second for a 1.5B model on two cores. The default of 2,048 would be
twenty, and reads at most a tenth faster (135M; no difference at 1.5B)."""
ERRORS = 1
"""llama.cpp's verbosity: it warns about things that happen in every other chat."""


def configure(order: dict[str, Any]) -> Any:
    """Turn the order (model, socket, context, slots, threads) into llama.cpp's parameters."""
    params = llama.CommonParams()
    params.model.path = order["model"]
    params.hostnames = [order["socket"]]
    params.n_parallel = order["slots"]
    params.n_ctx = order["context"] * order["slots"]
    params.n_batch = params.n_ubatch = BATCH
    params.kv_unified = False  # each slot keeps its whole context: one long chat starves no other
    params.cpuparams.n_threads = order["threads"]
    params.cpuparams_batch.n_threads = order["threads"]
    params.ctx_shift = False  # a full context ends the answer; it never forgets its beginning
    params.fit_params = False  # the room planned the memory
    params.cache_ram_mib = 0  # the default keeps up to 8 GiB of old prompts
    params.reasoning_format = llama.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    params.verbosity = ERRORS
    params.ui = False
    params.offline = True
    return params


def devices() -> list[dict[str, str]]:
    """The devices llama.cpp found, in its own words."""
    devices: list[dict[str, Any]] = llama.get_device_info()
    return [{"name": one["name"], "description": one["description"]} for one in devices]


def main() -> None:
    """Load the model, say so on stdout, and end the process when stdin closes. Never returns.

    Removes the socket's folder at its end. A load that fails ends the process without an answer,
    with code 1 and the reason on stderr, which is the engine's log.
    """
    # Native code may print to descriptor 1: keep the real one for the protocol.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.readline())
    code = 1
    try:
        server = llama.Server(configure(order))
        ready = {"ready": True, "listening": server.listening_address, "devices": devices()}
        answers.write(json.dumps(ready) + "\n")
        answers.flush()
        sys.stdin.read()
        code = 0
    except BaseException as error:
        # In one line: the last three of the log are what the caller is told.
        print(f"The process of llama.cpp ended: {error!r}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(Path(order["socket"]).parent, ignore_errors=True)
        os._exit(code)  # no orderly shutdown: it would wait for a generation nobody reads


if __name__ == "__main__":
    main()
