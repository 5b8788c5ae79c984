"""How the command line speaks: tables for people, JSON for programs, remedies for failures."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

T = TypeVar("T")
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

COLOURS = {"ok": "green", "alive": "green", "degraded": "yellow", "down": "red", "dead": "red"}


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def print_json(value: Any) -> None:
    """Print it indented to the standard output; what JSON has no type for becomes its ``str``."""
    typer.echo(json.dumps(value, indent=2, default=str))


def coloured(state: str) -> str:
    """Return ``state`` in Rich's markup, with its colour of `COLOURS` or none."""
    colour = COLOURS.get(state)
    return f"[{colour}]{state}[/]" if colour else state


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> Table:
    """Return a borderless table; None is an empty cell, and text may have Rich's markup."""
    made = Table(*columns, title=title or None, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made
