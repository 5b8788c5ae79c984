"""Commands that hand what was typed behind them to another program, as it was typed."""

import sys
from collections.abc import Callable

import typer

ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}


def register(app: typer.Typer, command: Callable[[typer.Context], None]) -> None:
    """Add ``command``, whose options are all the other program's, `--help` among them."""
    app.command(add_help_option=False, context_settings=ANYTHING)(command)


def arguments(context: typer.Context) -> list[str]:
    """What was typed behind the command's name; a parser would keep the first `--` for itself."""
    name = context.info_name
    return sys.argv[2:] if sys.argv[1:2] == [name] else list(context.args)
