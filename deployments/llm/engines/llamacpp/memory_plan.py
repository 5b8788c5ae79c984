"""How large a context and how many chats at once: from the model's own figures and free memory."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from autobot.errors import Unavailable
from deployments.llm.models.gguf import read_header

MIB = 1 << 20
LONGEST_CONTEXT = 8192
"""Tokens of one chat, when model and memory allow. The cache is touched at load, so it is paid for
by every chat: 8,192 tokens of a 1.5B model are 230 MiB for each slot."""
SHORTEST_CONTEXT = 2048
MOST_SLOTS = 4
WEIGHTS_FACTOR = 1.65
"""Weights in memory for each byte of the file: the CPU backend copies quantised tensors into a
layout of its own (0.58 of a Q4_K_M file seen) beside the mapped file."""
WORKING_BYTES = 128 * MIB
"""Compute buffers and the engine's process itself (35 to 106 MiB seen)."""
RESERVE_BYTES = 512 * MIB
"""Left to the machine's other rooms and to the page cache."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What a model is loaded with. `context` in tokens, for each of `slots` chats at once."""

    path: Path
    context: int
    slots: int
    threads: int
    memory_bytes: int


def physical_cores() -> int:
    """Cores this process may use; two hyperthreads of one core are no faster than one at this."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def plan_load(
    path: Path,
    available_bytes: int,
    slots: int = MOST_SLOTS,
    longest: int = LONGEST_CONTEXT,
) -> LoadPlan:
    """Give up slots first, then context, until it fits; raise `Unavailable` when nothing does."""
    header = read_header(path)
    weights = int(path.stat().st_size * WEIGHTS_FACTOR)
    budget = available_bytes - RESERVE_BYTES

    def needs(slots: int, context: int) -> int:
        return weights + WORKING_BYTES + slots * context * header.cache_bytes_per_token

    context = min(header.context, longest)
    plan = LoadPlan(path, context, slots, physical_cores(), needs(slots, context))
    while plan.memory_bytes > budget:
        if plan.slots > 1:
            plan = replace(plan, slots=plan.slots // 2)
        elif plan.context > SHORTEST_CONTEXT:
            plan = replace(plan, context=max(SHORTEST_CONTEXT, plan.context // 2))
        else:
            raise Unavailable(
                f"{path.name} needs {plan.memory_bytes // MIB} MiB and "
                f"{max(0, budget) // MIB} MiB are free."
            )
        plan = replace(plan, memory_bytes=needs(plan.slots, plan.context))
    return plan
