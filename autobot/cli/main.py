"""The commands, one module a topic; failures end with exit code 1, wrong usage with 2."""

import sys
from typing import Annotated

import typer
from pydantic import ValidationError

from autobot import __version__
from autobot.cli import automations, data, keys, lab, models, platform, ray, secrets, status, talk
from autobot.cli.output import err
from autobot.errors import AutoBotError, SetupError
from autobot.settings import Settings

app = typer.Typer(
    help="AutoBot: a self-hosted AI automation platform of six rooms on one Ray cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
platform.register(app)
status.register(app)
talk.register(app)
data.register(app)
app.add_typer(keys.app, name="key")
app.add_typer(models.app, name="models")
automations.register(app)
app.add_typer(secrets.app, name="secret")
ray.register(app)
lab.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"autobot {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """AutoBot: a self-hosted AI automation platform of six rooms on one Ray cluster."""


def main() -> None:
    """Run the command line and end the process as it ends.

    A failure that AutoBot explains and a setting that is not valid are printed with their remedy
    and end with exit code 1; Ctrl-C ends with 130. Whatever else is raised keeps its traceback.
    """
    try:
        app()
    except SetupError as error:
        err.print(f"[bold red]error:[/] {error.detail}", markup=True)
        if error.remedy:
            err.print(f"[bold]remedy:[/] {error.remedy}")
        sys.exit(1)
    except AutoBotError as error:
        err.print(f"[bold red]error:[/] {error.detail}")
        sys.exit(1)
    except ValidationError as error:
        if error.title != Settings.__name__:
            raise
        for mistake in error.errors():
            name = f"AUTOBOT_{'_'.join(map(str, mistake['loc'])).upper()}"
            err.print(f"[bold red]error:[/] {name}: {mistake['msg']}")
        err.print("[bold]remedy:[/] Correct it in the environment or in autobot.toml.")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
