"""`autobot status`: the six rooms, live."""

import time
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from autobot.cli.output import Json, coloured, out, print_json, run, table
from autobot.client import Client
from autobot.settings import Settings

COLUMNS = ("room", "state", "vm", "node", "replicas", "device", "version", "ms", "last error")


def register(app: typer.Typer) -> None:
    app.command()(status)


def rooms_table(health: dict[str, Any], nodes: dict[str, str] | None = None) -> Table:
    """Return a row for each room of ``health``, which is what `/api/health` answers.

    ``nodes`` is node id -> state. Without it a room that has a node shows that node as alive.
    """
    rows: list[list[object]] = []
    for room in health["rooms"].values():
        node = room["node"] or {}
        address = node.get("address", "")
        rows.append(
            [
                room["room"],
                coloured(room["state"]),
                address,
                coloured((nodes or {}).get(node.get("id", ""), "alive" if node else "?")),
                room["replicas"],
                room["device"],
                room["version"],
                room["latency_ms"],
                room["reason"],
            ]
        )
    return table(COLUMNS, rows)


def status(
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Refresh every second.")] = False,
    json: Json = False,
) -> None:
    """Show every room: where it runs, on which device, and how it is."""
    settings = Settings()
    cluster = run(_cluster(settings))
    if json:
        print_json(cluster)
        return
    if not watch:
        out.print(_table(cluster))
        if (token := settings.secrets_dir / "ray_token").exists():
            url = f"http://127.0.0.1:{settings.dashboard_port}/"
            out.print(f"\nRay's dashboard: {url}, sign in with what is in {token}", soft_wrap=True)
        return
    with Live(_table(cluster), console=out, auto_refresh=False) as live:
        while True:
            time.sleep(1)
            live.update(_table(run(_cluster(settings))), refresh=True)


def _table(cluster: dict[str, Any]) -> Table:
    return rooms_table(cluster, {node["id"]: node["state"] for node in cluster["nodes"]})


async def _cluster(settings: Settings) -> dict[str, Any]:
    async with Client.of(settings) as client:
        return (await client.request("GET", "/api/cluster")).body
