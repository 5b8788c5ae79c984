"""Monty, an interpreter of a part of Python, as a child of a process of its own.

Monty has limits and gives code neither files nor network. Should it be taken over or crash all the
same, it is a process without network whose files are not ours, and so is this one.
"""

import json
import math
import os
import resource
from pathlib import Path
from typing import Any, NoReturn

from pydantic_monty import (
    Monty,
    MontyCrashedError,
    MontyDisconnectError,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
)
from pydantic_monty._binary import find_monty_binary

from deployments.browser.outside.confined import Room

MEMORY = 128 << 20
"""Of the program's values."""
RECURSION = 400
MOST_PRINTED = 1 << 20
MOST_RESULT = 8 << 20
MOST_DEPTH = 32
MOST_TOLD = 4000


class Program:
    """One run of a program in Monty, whose answer goes to ``room``."""

    def __init__(self, room: Room, interpreter: str) -> None:
        self._room, self._interpreter = room, interpreter
        self._printed: list[str] = []
        self._size = 0

    def run(self) -> NoReturn:
        """Run it and answer."""
        job = self._room.job
        seconds = job["seconds"]
        limits: Any = {
            "max_feed_duration_secs": seconds,
            "max_total_sleep_secs": seconds,
            "max_memory": MEMORY,
            "max_recursion_depth": RECURSION,
        }
        policy: Any = {"sleep_system_max": math.inf}  # a longer one would be cut short in silence
        try:
            with (
                Monty(binary_path=self._interpreter, max_processes=1) as pool,
                pool.checkout(limits=limits, os_policy=policy) as session,
            ):
                _without_processes()
                value = session.feed_run(
                    job["code"], inputs=job["inputs"], print_callback=self._print
                )
                self._give(value)
        except (MontyCrashedError, MontyDisconnectError):
            self._refuse("The interpreter ended: the program is too much for it.")
        except (MontySyntaxError, MontyRuntimeError) as error:
            self._refuse(_told(error))
        except (MontyError, RecursionError, MemoryError) as error:
            self._refuse(str(error) or type(error).__name__)

    def _print(self, stream: str, text: str) -> None:
        self._size += len(text) + 1
        if self._size > MOST_PRINTED:
            self._refuse(f"The program prints more than {MOST_PRINTED >> 20} MiB.")
        self._printed.append(text)

    def _give(self, value: Any) -> NoReturn:
        if _too_deep(value):
            self._refuse(f"The result is nested more than {MOST_DEPTH} deep.")
        try:
            size = len(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            self._refuse(f"The result is no JSON: {error}")
        if size > MOST_RESULT:
            self._refuse(f"The result has more than {MOST_RESULT >> 20} MiB.")
        self._room.answer({"result": value, "printed": "".join(self._printed)})

    def _refuse(self, why: str) -> NoReturn:
        self._room.answer({"error": why[:MOST_TOLD]})


def _told(error: MontySyntaxError | MontyRuntimeError) -> str:
    """The kind of error with the line where it is, and the traceback when there is one of several.

    Lines are those of the code as it was given.
    """
    message = error.display("type-msg")
    frames = error.traceback()
    if not frames:
        return message
    return f"Line {frames[-1].line}: {message}\n\n{error.display('traceback')[-MOST_TOLD // 2 :]}"


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            part
            for one in level
            if isinstance(one, dict | list | tuple)
            for part in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            return False
    return True


def _without_processes() -> None:
    """Let the interpreter, which has begun, start no process and no thread."""
    me = os.getpid()
    for child in Path(f"/proc/{me}/task/{me}/children").read_text().split():
        resource.prlimit(int(child), resource.RLIMIT_NPROC, (0, 0))


if __name__ == "__main__":
    # Held open: afterwards its path may lie below a folder of its owner's alone.
    held = os.open(find_monty_binary(), os.O_RDONLY)
    Program(Room(programs=True), f"/proc/self/fd/{held}").run()
