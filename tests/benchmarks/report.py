"""What a benchmark found: one figure against its floor, shown as a table and kept as JSON."""

import json
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """``value`` and ``floor`` in ``unit``; ``asked`` is the ratio the project set itself."""

    name: str
    value: float
    floor: float | None
    unit: str
    asked: str = ""
    note: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.floor if self.floor else None


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def machine() -> dict[str, object]:
    return {
        "cpu": _cpu(),
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "load_before": round(psutil.getloadavg()[0], 2),
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "?")


def show(figures: Sequence[Figure], where: dict[str, object], file: Path) -> None:
    table = Table("figure", "AutoBot", "floor", "unit", "ratio", "asked", "note", box=None)
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.3f}"
        floor = "" if figure.floor is None else f"{figure.floor:.2f}"
        value = f"{figure.value:.2f}"
        table.add_row(figure.name, value, floor, figure.unit, ratio, figure.asked, figure.note)
    Console(width=150).print(table)
    rows = [asdict(figure) | {"ratio": figure.ratio} for figure in figures]
    file.write_text(json.dumps({"machine": where, "figures": rows}, indent=2) + "\n")
    Console().print(f"written to {file}")
