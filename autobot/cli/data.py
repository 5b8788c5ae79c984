"""`autobot backup` and `autobot restore`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from autobot.backup import pack
from autobot.backup import restore as restore_backup
from autobot.cli.output import err, out, run
from autobot.client import Client
from autobot.errors import Conflict
from autobot.files import write_private
from autobot.local.supervisor import Supervisor
from autobot.settings import Settings


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[Path | None, typer.Argument(help="[default: autobot-<time>.tar.gz]")] = None,
) -> None:
    """Write all data of the platform to one file, while it runs."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    target = (file or Path(f"autobot-{stamp}.tar.gz")).absolute()
    with err.status("taking a snapshot"):
        snapshot, secrets = run(_snapshot())
        write_private(target, pack(snapshot, secrets))
    out.print(f"{target} ({len(snapshot):,} bytes of data)")
    if secrets:
        out.print(f"without the values of {len(secrets)} secrets: {', '.join(secrets)}")


async def _snapshot() -> tuple[bytes, list[str]]:
    """The data, and the names of the secrets, whose values are not in it."""
    async with Client.of(Settings()) as client:
        snapshot = (await client.request("GET", "/api/backup")).body
        secrets = (await client.request("GET", "/api/secrets")).body
    return snapshot, [secret["name"] for secret in secrets]


def restore(
    file: Annotated[Path, typer.Argument(help="A file `autobot backup` wrote.", exists=True)],
    force: Annotated[bool, typer.Option(help="Replace the data that is there.")] = False,
) -> None:
    """Put a backup in place of this machine's data; run it while the platform is down."""
    settings = Settings()
    if Supervisor(settings).process() is not None:
        raise Conflict("The platform is running; stop it first with `autobot down`.")
    manifest = restore_backup(settings, file, force=force)
    when = datetime.fromtimestamp(manifest.created, UTC).isoformat(timespec="seconds")
    out.print(f"restored the data of {when}; start with `autobot up`")
    if manifest.secrets:
        out.print("A backup has no values of secrets. Set these again:")
        for name in manifest.secrets:
            out.print(f"  autobot secret set {name}")
