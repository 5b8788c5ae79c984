"""`autobot automation`, `autobot run` and `autobot runs`."""

import asyncio
import difflib
import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from autobot.automation.errors import InvalidAutomation
from autobot.automation.validation import check
from autobot.cli.output import Json, err, out, print_json, run, table
from autobot.client import Client
from autobot.settings import Settings

automations = typer.Typer(help="Work that runs by itself.", no_args_is_help=True)
runs = typer.Typer(help="What automations did and do.", invoke_without_command=True)

Name = Annotated[str, typer.Argument(help="Its name, as `automation list` shows.")]
RunId = Annotated[str, typer.Argument(help="Its id, as `runs` shows.")]
File = Annotated[Path, typer.Argument(help="The document, YAML or JSON; - reads it from stdin.")]
ENDED = ("succeeded", "failed", "cancelled")
LOOK_EVERY_S = 1.0
STEP = {"started": "…", "retrying": "↻", "waiting": "?", "skipped": "-", "failed": "✗"}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(automations, name="automation")
    app.add_typer(runs, name="runs")
    app.command("run")(start)
    app.command("tools")(list_tools)


async def _ask(method: str, path: str, **options: Any) -> Any:
    async with Client.of(Settings()) as client:
        return (await client.request(method, path, **options)).body


@automations.command()
def validate(file: File) -> None:
    """Check a document without a platform: each mistake with its line and column."""
    text = _text(file)
    try:
        check(text)
    except InvalidAutomation as error:
        for mistake in error.mistakes:
            typer.echo(f"{file}:{mistake}", err=True)
        raise typer.Exit(1) from None
    out.print(f"{file} is valid")


@automations.command()
def apply(
    file: File,
    draft: Annotated[bool, typer.Option("--draft", help="Keep it, do not let it run.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Save a document and let it run. What changes is shown first."""
    text = _text(file)
    name = check(text).automation.name
    before = _found(name)
    if before is not None and before["draft"] == text and (draft or before["published"]):
        out.print(f"{name} is so already")
        return
    _show_change(before["draft"] if before else "", text, name)
    if not yes and sys.stdin.isatty() and not typer.confirm("Apply?", default=True):
        raise typer.Exit(1)
    headers = {"content-type": "application/yaml"}
    if before is None:
        kept = run(_ask("POST", "/api/automations", content=text, headers=headers))
    else:
        path = f"/api/automations/{name}?revision={before['revision']}"
        kept = run(_ask("PUT", path, content=text, headers=headers))
    if draft:
        out.print(f"{name} is kept as a draft, revision {kept['revision']}")
        return
    body = {"revision": kept["revision"]}
    kept = run(_ask("POST", f"/api/automations/{name}/publish", json=body))
    out.print(f"{name} is on{_next(kept)}")


@automations.command("list")
def list_automations(json: Json = False) -> None:
    """List them, with when they start next."""
    found = run(_ask("GET", "/api/automations"))
    if json:
        print_json(found)
        return
    rows = [
        (
            one["id"],
            "on" if one["enabled"] else "off",
            " ".join(one["triggers"]) or "manual",
            one["next"][0] if one["next"] else "",
            "" if one["published"] else "draft changed" if one["version"] else "draft",
        )
        for one in found
    ]
    out.print(table(("name", "state", "starts by", "next", ""), rows))


@automations.command()
def export(name: Name) -> None:
    """Print the draft as its author wrote it."""
    sys.stdout.write(run(_ask("GET", f"/api/automations/{name}"))["draft"])


@automations.command()
def enable(name: Name) -> None:
    """Let it start runs."""
    out.print(f"{name} is on{_next(_enable(name, True))}")


@automations.command()
def disable(name: Name) -> None:
    """Let it start none; those that have not begun are cancelled."""
    _enable(name, False)
    out.print(f"{name} is off")


@automations.command("rm")
def remove(name: Name) -> None:
    """Remove it and cancel its runs."""
    run(_ask("DELETE", f"/api/automations/{name}"))
    out.print(f"{name} is removed")


@automations.command()
def hook(name: Name) -> None:
    """Make a new secret for its webhook, and show it this once."""
    made = run(_ask("POST", f"/api/automations/{name}/hook"))
    out.print(f"path    {made['path']}", highlight=False)
    out.print(f"secret  {made['secret']}", highlight=False)


def list_tools(json: Json = False) -> None:
    """List what steps can use, with the scopes that it needs. --json has the schemas."""
    found = run(_ask("GET", "/api/tools"))
    if json:
        print_json(found)
        return
    rows = [(one["name"], " ".join(one["scopes"]), one["title"]) for one in found]
    out.print(table(("tool", "scopes", ""), rows))


def start(
    name: Name,
    given: Annotated[
        list[str] | None,
        typer.Option("--input", "-i", help="name=value; JSON or text. Repeatable."),
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for its end.")] = False,
) -> None:
    """Start a run. With --follow the exit code is 1 unless it succeeds."""
    body = {"inputs": dict(_input(one) for one in given or ())}
    started = run(_ask("POST", f"/api/automations/{name}/runs", json=body))
    out.print(started["id"])
    if follow and not run(_follow(started["id"])):
        raise typer.Exit(1)


@runs.callback()
def list_runs(
    context: typer.Context,
    automation: Annotated[str | None, typer.Option(help="Of this one.")] = None,
    state: Annotated[str | None, typer.Option(help="In this state, such as failed.")] = None,
    json: Json = False,
) -> None:
    """List runs, the newest first."""
    if context.invoked_subcommand is not None:
        return
    wanted = {"automation": automation, "state": state}
    query = {name: value for name, value in wanted.items() if value is not None}
    found = run(_ask("GET", "/api/runs", params=query))
    if json:
        print_json(found)
        return
    rows = [(one["id"], one["automation"], one["state"], one["created"]) for one in found]
    out.print(table(("id", "automation", "state", "started"), rows))


@runs.command()
def show(run_id: RunId, json: Json = False) -> None:
    """Show what has become of each step."""
    found = run(_ask("GET", f"/api/runs/{run_id}"))
    if json:
        print_json(found)
        return
    out.print(f"{found['automation']}: {found['state']}")
    for name, step in found["steps"].items():
        out.print(_line(name, step))
    if found["error"]:
        out.print(escape(f"error: {found['error'].get('detail', found['error'])}"))


@runs.command()
def follow(run_id: RunId) -> None:
    """Wait for its end and show its steps. The exit code is 1 unless it succeeds."""
    if not run(_follow(run_id)):
        raise typer.Exit(1)


@runs.command()
def cancel(run_id: RunId) -> None:
    """End it; what is under way is called off."""
    run(_ask("POST", f"/api/runs/{run_id}/cancel"))
    out.print(f"{run_id} is asked to end")


@runs.command()
def approve(
    run_id: RunId,
    step: Annotated[str, typer.Argument(help="The step that waits.")],
    no: Annotated[bool, typer.Option("--no", help="Reject it.")] = False,
) -> None:
    """Answer a step that waits for approval."""
    body = {"approved": not no}
    run(_ask("POST", f"/api/runs/{run_id}/approvals/{step}", json=body))
    out.print(f"{step} is {'rejected' if no else 'approved'}")


async def _follow(run_id: str) -> bool:
    """Show each step when it changes; whether the run succeeded."""
    seen: dict[str, str] = {}
    while True:
        found = await _ask("GET", f"/api/runs/{run_id}")
        for name, step in found["steps"].items():
            if seen.get(name) != step["status"]:
                seen[name] = step["status"]
                out.print(_line(name, step))
        if found["state"] in ENDED:
            detail = found["error"].get("detail", "") if found["error"] else ""
            out.print(escape(f"{found['state']} {detail}".rstrip()))
            return found["state"] == "succeeded"
        await asyncio.sleep(LOOK_EVERY_S)


def _line(name: str, step: dict[str, Any]) -> str:
    detail = step["error"]["detail"] if step["error"] else step["waits_for"] or step["reason"] or ""
    return escape(f"  {STEP.get(step['status'], '✓')} {name} {step['status']} {detail}".rstrip())


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}")
        raise typer.Exit(1) from None


def _found(name: str) -> Any:
    names = {one["id"] for one in run(_ask("GET", "/api/automations"))}
    return run(_ask("GET", f"/api/automations/{name}")) if name in names else None


def _show_change(before: str, after: str, name: str) -> None:
    old = "nothing" if not before else "kept"
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), old, name, lineterm="")
    for line in lines:
        colour = {"+": "green", "-": "red"}.get(line[:1])
        out.print(f"[{colour}]{escape(line)}[/]" if colour else escape(line))


def _enable(name: str, enabled: bool) -> Any:
    return run(_ask("POST", f"/api/automations/{name}/enable", json={"enabled": enabled}))


def _next(kept: dict[str, Any]) -> str:
    return f"; it starts next at {kept['next'][0]}" if kept["next"] else ""


def _input(given: str) -> tuple[str, Any]:
    name, equals, value = given.partition("=")
    if not equals:
        raise typer.BadParameter("write name=value", param_hint="--input")
    try:
        return name, json_module.loads(value)
    except ValueError:
        return name, value
