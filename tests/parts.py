"""What tests need of the cache; `python -m tests.parts` fetches it before anything boots.

VMs see the cache through an overlay made when they boot, and a platform's rooms look into it as
they start: what is fetched below them later may stay unseen.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from autobot.catalogue import Catalogue
from autobot.local.checks import default_files
from autobot.settings import Settings

SMALL_CHAT = "smollm2-135m-instruct"
CHAT = "qwen2.5-coder-1.5b-instruct"
EMBEDDINGS = ("gte-small", "all-minilm-l6-v2")
SPEECH = "whisper-base"
REDIS = "redis-stack"
CHATML = """{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
"""The chat template of both chat models as Ollama writes it. Of a file it imports it knows few, and
without one it continues the text: such answers and their figures are not a chat's."""


def needed() -> list[str]:
    """Names in the catalogue: the tests' own and what a platform of this machine starts with."""
    own = (SMALL_CHAT, CHAT, *EMBEDDINGS, SPEECH, REDIS)
    return list(dict.fromkeys([*default_files(Settings()), *own]))


def path(name: str) -> Path:
    """An entry's file or folder; fetched when a test runs by itself on a machine without it."""
    assert name in needed(), f"{name} is not in tests/parts.py, which fetches before anything boots"
    # In a thread: an async test asks for a fixture from inside its own event loop.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, Catalogue(Settings().cache).fetch(name)).result()


def fetch_all() -> None:
    for name in needed():
        path(name)


if __name__ == "__main__":
    fetch_all()
