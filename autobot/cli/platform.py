"""up, down, deploy, restart, doctor, logs."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer

from autobot.cli.output import Json, err, out, print_json, run, table
from autobot.client import Client
from autobot.errors import NotFound, SetupError
from autobot.local.checks import problems
from autobot.local.demo import Shown, show_chat, show_other_rooms
from autobot.local.exposure import exposed_by
from autobot.local.supervisor import Supervisor, log_files
from autobot.local.up import up as bring_up
from autobot.manifests import rooms
from autobot.platform.topology import topology_here
from autobot.serving.deploy import Restarts
from autobot.serving.deploy import deploy as deploy_rooms
from autobot.settings import Settings

Room = Annotated[
    str, typer.Argument(help="A room, as `autobot status` lists them.", metavar="ROOM")
]


def register(app: typer.Typer) -> None:
    for command in (up, down, deploy, restart, doctor, logs):
        app.command()(command)


def known(room: str) -> str:
    """Return ``room`` as it is. Raises `NotFound`, which lists the rooms, for any other word.

    For an own room that is left out, raises the SetupError that says what is wrong with it.
    """
    if wrong := rooms().left_out.get(room):
        raise wrong
    if room not in rooms():
        listed = ", ".join(rooms())
        raise NotFound(f"There is no room '{room}'. The rooms are {listed}.")
    return room


def up(
    demo: Annotated[bool, typer.Option(help="End with the main job on real input.")] = True,
    json: Json = False,
) -> None:
    """Start the whole platform on this machine, or bring a running one up to date."""
    settings = Settings()
    started = time.perf_counter()
    shown: list[Shown] = []

    async def show(what: Callable[[Client], AsyncIterator[Shown]]) -> None:
        async with Client.of(settings) as client:
            async for item in what(client):
                shown.append(item)
                if not json:
                    _print_shown(item)

    with err.status("checking this machine") as status:

        async def show_first() -> None:
            status.stop()  # its line and the answer's would mix
            await show(show_chat)
            status.start()

        secrets = run(bring_up(settings, status.update, show_first if demo else None))
    took = time.perf_counter() - started
    if demo:
        run(show(show_other_rooms))
    if json:
        key = {"api_key": secrets.owner_key} if secrets.owner_key else {}
        print_json(
            {"seconds": round(took, 1), **_urls(settings), **key}
            | {"shown": [vars(item) for item in shown]}
        )
        return
    out.print(f"\n[bold green]AutoBot is up[/] ({took:.1f} s)\n")
    for name, url in _urls(settings).items():
        out.print(f"  {name:<10} {url}")
    out.print(f"  {'password':<10} {settings.secrets_dir / 'desktop_password'} (desktop)")
    out.print(f"  {'token':<10} {settings.secrets_dir / 'ray_token'} (dashboard)")
    if secrets.owner_key:
        out.print(f"\n  API key    [bold]{secrets.owner_key}[/]  (shown once; keep it)")
    out.print()
    run(_rooms(settings))


def _urls(settings: Settings) -> dict[str, str]:
    host = "127.0.0.1" if settings.bind == "0.0.0.0" else settings.bind
    return {
        "web": f"http://{host}:{settings.frontend_port}/",
        "api": f"http://{host}:{settings.http_port}/docs",
        "desktop": f"http://{host}:{settings.desktop_port}/vnc.html",
        "dashboard": f"http://127.0.0.1:{settings.dashboard_port}/",
    }


def _print_shown(item: Shown) -> None:
    place, took = f"{item.room} · {item.device}", f"{item.milliseconds:>7.0f} ms"
    out.print(f"  [bold]{item.what:<11}[/] {place:<16} {took}  {item.result}")


async def _rooms(settings: Settings) -> None:
    from autobot.cli.status import rooms_table

    async with Client.of(settings) as client:
        out.print(rooms_table((await client.request("GET", "/api/health")).body))


def down() -> None:
    """Stop the platform of this machine; its data stays."""
    settings = Settings()
    with err.status("stopping"):
        ran = run(Supervisor(settings).stop())
    out.print("AutoBot is down; its data is kept." if ran else "AutoBot was not running.")


def deploy(json: Json = False) -> None:
    """Deploy the rooms' current code: only the rooms that changed are replaced."""
    config = run(_deployed(Settings()))
    codes = {
        a["name"]: a["runtime_env"]["env_vars"]["AUTOBOT_CODE"] for a in config["applications"]
    }
    if json:
        print_json(codes)
    else:
        out.print(table(("application", "code"), list(codes.items())))


async def _deployed(settings: Settings) -> dict[str, Any]:
    return await deploy_rooms(settings, topology_here())


def restart(room: Room) -> None:
    """Replace a room's replicas one by one; the other rooms are not touched."""
    settings = Settings()
    rooms().require_all()
    Restarts(settings).mark(known(room))
    run(_deployed(settings))
    out.print(f"{room} is restarting; see `autobot status`.")


def doctor(json: Json = False) -> None:
    """Check this machine and its platform, and say what to do.

    Also says which ports of a running platform others on the network can reach, and what protects
    each of them.
    """
    settings = Settings()
    supervisor = Supervisor(settings)
    process = supervisor.process()
    running = process is not None
    reachable = exposed_by(settings, process) if process else []
    found = problems(settings, running=running)
    states = run(supervisor.states())
    for state in states:
        if state["statename"] != "RUNNING":
            found.append(
                SetupError(
                    f"{state['name']} is {state['statename']}: {state['description']}",
                    f"See {settings.log_dir / state['name']}.log",
                )
            )
    if json:
        rows = [{"problem": error.detail, "remedy": error.remedy} for error in found]
        ports = [{**asdict(e.listener), "protection": e.protection} for e in reachable]
        print_json({"running": running, "problems": rows, "reachable": ports})
    else:
        if reachable:
            out.print("Others on the network can reach:")
        for each in reachable:
            out.print(f"  {each}")
        for error in found:
            out.print(f"[red]✗[/] {error.detail}\n  {error.remedy}")
        if not found:
            out.print(f"[green]✓[/] no problems; the platform is {'up' if running else 'down'}")
    if found:
        raise typer.Exit(1)


def logs(
    room: Room, follow: Annotated[bool, typer.Option("-f", "--follow", help="Keep on.")] = False
) -> None:
    """Show what a room has logged."""
    files = log_files(Settings(), known(room))
    if not files:
        raise SetupError(
            f"{room} has logged nothing on this machine yet.", "Start it: `autobot up`."
        )
    options = ["-n", "100", *(["-F"] if follow else [])]
    sys.exit(subprocess.call(["tail", *options, *map(str, files)]))
