"""Building the web interface: only when its sources changed since the last build."""

import asyncio
import contextlib
import shutil
from pathlib import Path

from autobot.errors import SetupError
from autobot.serving.deploy import CHECKOUT, sources_digest

WEB = CHECKOUT / "deployments" / "frontend" / "web"
MARK = Path("dist/.sources")
BUILD_DEADLINE_S = 600


async def build_web(web: Path = WEB) -> bool:
    """Run `npm ci` and `npm run build` when needed; return whether a build ran."""
    wanted = sources_digest(web)
    if _built(web) == wanted:
        return False
    await _run(web, "npm", "ci", "--no-audit", "--no-fund")
    await _run(web, "npm", "run", "build")
    (web / MARK).write_text(wanted)
    return True


def is_built(web: Path = WEB) -> bool:
    """Whether the page that was built last is the sources' own."""
    return _built(web) == sources_digest(web)


def _built(web: Path) -> str | None:
    """The digest of the sources that were built last."""
    mark = web / MARK
    return mark.read_text() if mark.exists() else None


async def _run(folder: Path, *command: str) -> None:
    if shutil.which(command[0]) is None:
        raise SetupError("Node is not installed; it builds the web interface.", "Install Node 20.")
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), BUILD_DEADLINE_S)
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    if process.returncode:
        said = output.decode(errors="replace").strip()[-1500:]
        raise SetupError(
            f"`{' '.join(command)}` failed in the web interface:\n{said}",
            "Check that the npm registry is reachable and Node is 20 or newer.",
        )


if __name__ == "__main__":
    asyncio.run(build_web())
