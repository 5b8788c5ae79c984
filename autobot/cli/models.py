"""`autobot models`: what is in the catalogue, and what this machine has of it."""

from typing import Annotated, Any

import typer

from autobot.catalogue import Catalogue
from autobot.cli.output import Json, err, out, print_json, run, table
from autobot.settings import Settings

app = typer.Typer(help="Models of the catalogue.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A name of `models list`.")]


@app.command("list")
def list_models(json: Json = False) -> None:
    """List the models, and which of them are on this machine."""
    catalogue = Catalogue(Settings().cache)
    here = {entry.name for entry in catalogue.installed()}
    entries = [
        catalogue.entry(name) for kind in ("chat", "embedding") for name in catalogue.names(kind)
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
def pull(name: Name) -> None:
    """Fetch a model: resumes where it stopped, and is checked before it is used."""
    with err.status(name) as status:

        def progress(event: Any) -> None:
            status.update(f"{name}: {event.done >> 20} of {event.total >> 20} MiB")

        path = run(Catalogue(Settings().cache).fetch(name, progress))
    out.print(str(path))


@app.command()
def rm(name: Name) -> None:
    """Remove a model from this machine."""
    Catalogue(Settings().cache).remove(name)
    out.print(f"{name} is removed")
