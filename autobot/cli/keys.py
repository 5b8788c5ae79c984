"""`autobot key`: create, list and revoke API keys."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from autobot.cli.output import Json, out, print_json, run, table
from autobot.client import Client
from autobot.manifests import rooms
from autobot.settings import Settings

app = typer.Typer(help="API keys.", no_args_is_help=True)


async def _ask(method: str, path: str, **options: Any) -> Any:
    async with Client.of(Settings()) as client:
        return (await client.request(method, path, **options)).body


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="admin, read, automation, secret, a room's, or a part of a room's, such as "
            "browser:outside; may be repeated. [default: read and every room's]"
        ),
    ] = None,
    days: Annotated[float | None, typer.Option(help="Expires after so many days.")] = None,
    allow_domain: Annotated[
        list[str] | None,
        typer.Option(help="Its pages reach only this domain and below; may be repeated."),
    ] = None,
    deny_domain: Annotated[
        list[str] | None,
        typer.Option(help="Its pages never reach this domain or below; may be repeated."),
    ] = None,
    json: Json = False,
) -> None:
    """Make a key. It is shown once; only its hash is stored."""
    body = {
        "name": name,
        "scopes": scope
        or ["read", *(room for room, manifest in rooms().items() if room in manifest.scopes)],
        "expires_in_s": days * 86400 if days else None,
        "allow_domains": allow_domain or [],
        "deny_domains": deny_domain or [],
    }
    made = run(_ask("POST", "/api/keys", json=body))
    if json:
        print_json(made)
    else:
        out.print(made["key"])
        _tell_of_the_others(made)


@app.command("list")
def list_keys(json: Json = False) -> None:
    """List the keys, without their secrets."""
    found = run(_ask("GET", "/api/keys"))
    if json:
        print_json(found)
        return
    rows = [
        (
            key["id"],
            key["name"],
            " ".join(key["scopes"]),
            _day(key["created"]),
            _day(key["expires"]),
            " ".join([*key["allow_domains"], *(f"-{name}" for name in key["deny_domains"])]),
        )
        for key in found
    ]
    out.print(table(("id", "name", "scopes", "created", "expires", "domains"), rows))


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Its id, as `key list` shows.")]) -> None:
    """Revoke a key: when this ends, every room it does not name refuses it."""
    gone = run(_ask("DELETE", f"/api/keys/{key_id}"))
    out.print(f"{gone['id']} ({gone['name']}) is revoked")
    _tell_of_the_others(gone)


def _tell_of_the_others(changed: dict[str, Any]) -> None:
    """On stderr: a script reads the key from stdout."""
    if changed.get("unconfirmed"):
        who = ", ".join(changed["unconfirmed"])
        typer.echo(f"not confirmed yet by {who}: they ask room redis every ten seconds", err=True)


def _day(seconds: float | None) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d") if seconds else "never"
