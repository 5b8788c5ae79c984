"""As many browser sessions as the smallest VM `browser` is asked to hold, each with a real page."""

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from autobot.cluster.systemd import ENV_FILE, render_env
from tests.cluster.lab.vm import VM
from tests.cluster.sixvms import SixVms, wait_for

MEMORY = 4 << 30
ASKED = 20
MOST = 64
PORT = 18080
SESSIONS = "/api/browser/sessions"
PAGE = "<title>Page</title><h1>A real page</h1>" + "".join(
    f"<section><h2>Part {n}</h2><p>{'Words that fill a page. ' * 20}</p></section>"
    for n in range(40)
)

pytestmark = [pytest.mark.drill, pytest.mark.timeout(900)]


def restarted(cluster: SixVms, vm: VM, environment: str) -> None:
    """Restart the room in this ``environment``."""
    vm.shell(f"cat > {ENV_FILE}", stdin=environment)
    vm.shell(["systemctl", "restart", "autobot-ray.service"])
    wait_for(lambda: cluster.state("browser") == "down", 60, cluster.why)
    cluster.wait_until_ok(240)


@pytest.fixture
def page(cluster: SixVms, tmp_path: Path) -> Iterator[str]:
    """The page's address: the operator's machine serves it, and room browser may go there."""
    (tmp_path / "page.html").write_text(PAGE)
    host = cluster.lab.operator_address
    serve = [sys.executable, "-m", "http.server", str(PORT), "--bind", host, "-d", str(tmp_path)]
    silent: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = cluster.lab.operator_popen(serve, **silent)
    vm = cluster.lab.vm("browser")
    environment = vm.shell(["cat", ENV_FILE]).stdout
    # A lab's VM does not see its own limit, and a real one would: half of it is the sessions'.
    mib = str(MEMORY // 2 >> 20)
    allowed = {"AUTOBOT_BROWSER_ALLOW": f"{host}:{PORT}", "AUTOBOT_BROWSER_MEMORY_MIB": mib}
    try:
        vm.limit_memory(MEMORY)
        restarted(cluster, vm, environment + render_env(allowed))
        yield f"http://{host}:{PORT}/page.html"
    finally:
        process.terminate()
        process.wait(10)
        vm.limit_memory(None)
        restarted(cluster, vm, environment)


def test_twenty_sessions_each_serve_a_page_on_a_vm_of_four_gibibytes(
    cluster: SixVms, page: str
) -> None:
    opened: list[str] = []
    while len(opened) < MOST:
        answer = cluster.post(SESSIONS, {"queue_s": 0, "idle_s": 600})
        if "id" not in answer:
            assert answer["status"] == 429, answer
            break
        opened.append(f"{SESSIONS}/{answer['id']}")
        gone = cluster.post(f"{opened[-1]}/goto", {"url": page})
        assert gone["status"] == 200, gone
    assert len(opened) >= ASKED

    def parts(session: str) -> int:
        body = {"expression": "document.querySelectorAll('section').length"}
        return cluster.post(f"{session}/evaluate", body, timeout=60)["value"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(parts, opened)) == [40] * len(opened)
    room = cluster.health()["rooms"]["browser"]
    assert room["state"] == "ok", room
    print(f"{len(opened)} sessions: {json.dumps(room)}")
