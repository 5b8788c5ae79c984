"""`autobot secret`: set, list and remove the secrets of automations."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from autobot.cli.output import Json, err, out, print_json, run, table
from autobot.client import Client
from autobot.contracts.secrets import check
from autobot.errors import Invalid
from autobot.settings import Settings

app = typer.Typer(help="Secrets that automations use by name.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As an environment variable's, for example HOOK_TOKEN.")]


async def _ask(method: str, path: str, **options: Any) -> Any:
    async with Client.of(Settings()) as client:
        return (await client.request(method, path, **options)).body


@app.command("set")
def set_secret(
    name: Name,
    from_file: Annotated[
        Path | None, typer.Option(help="The value is all that is in this file.")
    ] = None,
) -> None:
    """Set a secret. Its value is asked for and not shown, or read from stdin.

    A line end at the end of what stdin gives is not part of it. No option takes the value: other
    users see the arguments of a command, and the shell writes them down.
    """
    value = _value(name, from_file)
    check(name, value)
    headers = {"content-type": "text/plain; charset=utf-8"}
    run(_ask("PUT", f"/api/secrets/{name}", content=value.encode(), headers=headers))
    out.print(f"{name} is set")


@app.command("list")
def list_secrets(json: Json = False) -> None:
    """List the secrets, without their values."""
    found = run(_ask("GET", "/api/secrets"))
    if json:
        print_json(found)
        return
    rows = [
        (one["name"], one["changed"][:16], one["by"], "" if one["readable"] else "set it again")
        for one in found
    ]
    out.print(table(("name", "changed", "by key", ""), rows))


@app.command("rm")
def remove(name: Name) -> None:
    """Remove a secret. Steps that use it and begin later fail."""
    run(_ask("DELETE", f"/api/secrets/{name}"))
    out.print(f"{name} is removed")


def _value(name: str, file: Path | None) -> str:
    try:
        if file is not None:
            return file.read_bytes().decode()
        if sys.stdin.isatty():
            return typer.prompt(f"Value of {name}", hide_input=True, err=True)
        return sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Invalid("The value is not UTF-8.") from None
    except OSError as error:
        err.print(f"[bold red]error:[/] {error}", markup=True)
        raise typer.Exit(1) from None
