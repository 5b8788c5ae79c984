"""The lab from the command line: `python -m tests.cluster.lab up`, as root, from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Annotated

import typer

from . import VM, Lab, LabError
from .trial import Trial

app = typer.Typer(
    help="Six VMs on this machine, to try and to break.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Room = Annotated[str, typer.Argument(help="main, frontend, npu, redis, llm or browser")]
Command = Annotated[list[str] | None, typer.Argument(help="a command, after --")]


@app.callback()
def name_lab(
    context: typer.Context,
    name: Annotated[str, typer.Option(envvar="AUTOBOT_LAB_NAME", help="which lab")] = "lab",
) -> None:
    """Choose the lab that the command is about."""
    context.obj = Lab(name)


def room(context: typer.Context, name: str) -> VM:
    """The VM a command is about."""
    return the_lab(context).vm(name)


def the_lab(context: typer.Context) -> Lab:
    """The lab a command is about."""
    lab = context.obj
    assert isinstance(lab, Lab)
    return lab


@app.command()
def up(context: typer.Context) -> None:
    """Boot every VM that is off; make the lab first when there is none."""
    lab, start = the_lab(context), time.monotonic()
    lab.up()
    typer.echo(f"{len(lab.rooms)} VMs run after {time.monotonic() - start:.1f} s")


@app.command("try")
def try_it(context: typer.Context) -> None:
    """Boot, run `ray up`, and bring the rooms' ports to 127.0.0.1; `down` ends it."""
    trial, start = Trial(the_lab(context)), time.monotonic()
    trial.begin()
    typer.echo(f"\nAutoBot is up on six VMs ({time.monotonic() - start:.0f} s)\n")
    typer.echo(trial.told())
    typer.echo("\n`autobot lab down` ends all of it and removes the VMs with their disks.")


@app.command()
def down(context: typer.Context) -> None:
    """Cut all power and remove the lab with its disks."""
    the_lab(context).down()


@app.command()
def status(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Show every VM: its address, its state, its cable."""
    lab = the_lab(context)
    told = {vm.room: describe(vm) for vm in lab.vms()}
    if as_json:
        whole = {"name": lab.name, "up": lab.is_up(), "key": str(lab.key), "rooms": told}
        typer.echo(json.dumps(whole))
        return
    for name, facts in told.items():
        typer.echo(f"{name:9} {facts['address']:15} {facts['state']:10} {facts['cable']}")


def describe(vm: VM) -> dict[str, str]:
    """One VM's line of `status`."""
    state = vm.state(wait=False)
    return {"address": vm.address, "state": state, "cable": vm.cable()}


@app.command()
def shell(
    context: typer.Context, name: Room, command: Command = None, user: str = "autobot"
) -> None:
    """Open a shell in a VM, or run a command there; it needs no network."""
    argv = room(context, name).console_argv(user)
    raise typer.Exit(subprocess.call([*argv, "-c", " ".join(command)] if command else argv))


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def operator(context: typer.Context, command: Annotated[list[str], typer.Argument()]) -> None:
    """Run a program on the lab's network as `try`'s operator: `operator -- ray exec ...`."""
    trial = Trial(the_lab(context))
    environment = {**os.environ, **(trial.environment if trial.operator.exists() else {})}
    argv = [*trial.lab.network.inside("operator"), *command]
    raise typer.Exit(subprocess.call(argv, env=environment))


@app.command("power-off")
def power_off(context: typer.Context, name: Room) -> None:
    """Cut a VM's power: it is told nothing, its disk stays."""
    room(context, name).power_off()


@app.command("power-on")
def power_on(context: typer.Context, name: Room) -> None:
    """Boot a VM and wait for its SSH server."""
    room(context, name).power_on()


@app.command()
def reboot(context: typer.Context, name: Room) -> None:
    """Shut a VM down in order, boot it, and wait for its SSH server."""
    room(context, name).reboot()


@app.command()
def partition(context: typer.Context, name: Room) -> None:
    """Pull a VM's network cable."""
    room(context, name).partition()


@app.command()
def heal(context: typer.Context, name: Room) -> None:
    """Put a VM's network cable back."""
    room(context, name).heal()


@app.command()
def slow(context: typer.Context, name: Room, delay_ms: float = 0, loss_pct: float = 0) -> None:
    """Make a VM's cable late and lossy, each way; without options it is good again."""
    room(context, name).slow(delay_ms, loss_pct)


@app.command("fill-disk")
def fill_disk(
    context: typer.Context,
    name: Room,
    size: Annotated[
        int | None, typer.Option("--bytes", help="all that is left if not said")
    ] = None,
) -> None:
    """Take space from a VM's disk."""
    room(context, name).fill_disk(size)


@app.command("free-disk")
def free_disk(context: typer.Context, name: Room) -> None:
    """Give back what `fill-disk` took."""
    room(context, name).free_disk()


def main() -> None:
    """The entry point; an error of the lab is one sentence, not a traceback."""
    try:
        app()
    except LabError as error:
        typer.echo(f"lab: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
