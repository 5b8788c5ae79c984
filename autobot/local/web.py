"""Building the web interface: only when its sources changed since the last build."""

import asyncio
import contextlib
from pathlib import Path

from autobot.errors import SetupError
from autobot.serving.deploy import CHECKOUT, sources_digest

WEB = CHECKOUT / "deployments" / "frontend" / "web"
BUILD_DEADLINE_S = 600


async def build_web(web: Path = WEB) -> bool:
    """Run `npm ci` and `npm run build` when needed; return whether a build ran."""
    mark = web / "dist" / ".sources"
    wanted = sources_digest(web)
    if mark.exists() and mark.read_text() == wanted:
        return False
    await _run(web, "npm", "ci", "--no-audit", "--no-fund")
    await _run(web, "npm", "run", "build")
    mark.write_text(wanted)
    return True


async def _run(folder: Path, *command: str) -> None:
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
