"""`make bench`: start a platform of its own, measure, print the table, write the JSON."""

import tempfile
import time
from pathlib import Path

import psutil

from autobot.catalogue import Catalogue
from autobot.settings import Settings
from deployments.llm.engines.llamacpp.memory_plan import MOST_SLOTS, plan_load
from tests.benchmarks import chat, embeddings, ingress, life, screenshot
from tests.benchmarks.report import Figure, machine, show
from tests.platform import Platform


def main() -> None:
    where = machine()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="autobot-bench-") as folder:
        platform = Platform.make(Path(folder) / "home")
        try:
            started = time.perf_counter()
            platform.up("--no-demo")
            cold = time.perf_counter() - started
            figures += life.memory_at_rest(platform)
            figures += ingress.measure(platform)
            figures += measure_models(platform)
            figures += screenshot.measure(platform)
            started = time.perf_counter()
            platform.up("--no-demo")
            again = time.perf_counter() - started
            platform.down()
            first, every_room = life.first_token_s(platform)
        finally:
            platform.down()
    figures += [
        Figure("first start, caches warm", cold, None, "s"),
        Figure("up again while running", again, None, "s"),
        Figure("start to first token, data kept", first, None, "s", "< 30 s"),
        Figure("start to every room ok, data kept", every_room, None, "s"),
    ]
    show(figures, where, Path("bench.json"))


def measure_models(platform: Platform) -> list[Figure]:
    catalogue = Catalogue(Settings().cache)
    memory = psutil.virtual_memory()
    model = catalogue.path(catalogue.default("chat", memory.total))
    plan = plan_load(model, memory.available, slots=MOST_SLOTS)
    embedding = catalogue.entry(catalogue.default("embedding", memory.total))
    return [
        *chat.measure(platform, model, plan.context, plan.slots, plan.threads),
        *embeddings.measure(platform, catalogue.path(embedding.name), embedding.context or 512),
    ]


main()
