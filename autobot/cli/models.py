"""`autobot models`: what is in the catalogue, and what this machine has of it."""

from typing import Annotated, Any

import typer
from rich.status import Status

from autobot.catalogue import Catalogue
from autobot.cli.output import Json, err, out, print_json, run, table
from autobot.local.checks import default_files
from autobot.settings import Settings

app = typer.Typer(help="Models of the catalogue.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A name of `models list`.")]


@app.command("list")
def list_models(json: Json = False) -> None:
    """List the models, and which of them are on this machine."""
    catalogue = Catalogue(Settings().cache)
    here = {entry.name for entry in catalogue.installed()}
    entries = [
        catalogue.entry(name)
        for kind in ("chat", "embedding", "speech")
        for name in catalogue.names(kind)
    ]
    rows = [
        {
            "name": e.name,
            "kind": e.kind,
            "mib": e.size >> 20,
            "installed": e.name in here,
            "licence": e.licence,
        }
        for e in entries
    ]
    if json:
        print_json(rows)
    else:
        out.print(
            table(
                ("name", "kind", "MiB", "installed", "licence"), [tuple(r.values()) for r in rows]
            )
        )


@app.command()
def pull(
    name: Annotated[str | None, typer.Argument(help="A name of `models list`.")] = None,
    defaults: Annotated[bool, typer.Option(help="All that the platform starts with.")] = False,
) -> None:
    """Fetch a model: resumes where it stopped, and is checked before it is used."""
    settings = Settings()
    if (name is None) != defaults:
        raise typer.BadParameter("Give one name, or --defaults.")
    for wanted in default_files(settings) if name is None else [name]:
        with err.status(wanted) as status:

            def progress(event: Any, shown: Status = status) -> None:
                shown.update(f"{event.name}: {event.done >> 20} of {event.total >> 20} MiB")

            path = run(Catalogue(settings.cache).fetch(wanted, progress))
        typer.echo(path)


@app.command()
def rm(name: Name) -> None:
    """Remove a model from this machine."""
    Catalogue(Settings().cache).remove(name)
    out.print(f"{name} is removed")
