"""An Ollama server that its owner installs on VM `llm`: kept running, used, and left to others."""

import base64
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autobot.platform.programs import OLLAMA, OLLAMAS_UNIT
from autobot.platform.topology import CHECKOUT
from autobot.settings import Settings
from tests import parts
from tests.cluster.lab.lab import ROOMS
from tests.cluster.lab.vm import VM
from tests.cluster.sixvms import SixVms, wait_for
from tests.cluster.test_drills import killed

UNIT = "autobot-ollama.service"
MODEL = "lab-small:latest"
API = f"http://{ROOMS['main']}:8001"

pytestmark = pytest.mark.timeout(600)


def built() -> Path:
    """The folder with bin/ and lib/ that `make ollama` built."""
    found = subprocess.run(
        [CHECKOUT / "scripts" / "ollama.sh", "find"], capture_output=True, text=True
    )
    if found.returncode:
        if os.environ.get("AUTOBOT_REQUIRE_LAB") == "1" and shutil.which("go"):
            pytest.fail(f"`make ollama` builds one where there is Go: {found.stderr}")
        pytest.skip(found.stderr.strip())
    path = Path(found.stdout.strip())
    if not path.is_relative_to(Settings().cache):
        pytest.skip("an installed Ollama has files elsewhere")
    return path.parents[1]


def packed(folder: Path) -> str:
    """It as a tar archive in base64."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        for part in ("bin", "lib"):
            tar.add(folder / part, arcname=part)
    return base64.b64encode(archive.getvalue()).decode()


def state(vm: VM) -> str:
    return vm.shell(["systemctl", "is-active", UNIT], check=False).stdout.strip()


def models(cluster: SixVms) -> list[str]:
    status, body = cluster.get(f"{API}/ollama/api/tags")
    return [model["name"] for model in json.loads(body)["models"]] if status == 200 else []


def chat(cluster: SixVms) -> tuple[str, dict[str, Any]]:
    """The engine that answered, if any, and the body: an answer or an error."""
    messages = [{"role": "user", "content": "Say hello."}]
    body = json.dumps({"model": MODEL, "messages": messages, "max_tokens": 8})
    said = request(cluster, "/v1/chat/completions", body, "-w", "\n%header{x-autobot-engine}")
    answer, _, engine = said.rpartition("\n")
    return engine, json.loads(answer)


def request(cluster: SixVms, path: str, body: str, *options: str) -> str:
    command = ["curl", "-s", "-m", "120", "-H", f"Authorization: Bearer {cluster.key}"]
    command += ["-H", "content-type: application/json", "-d", body, *options, f"{API}{path}"]
    return cluster.lab.operator(command, timeout=130).stdout


@pytest.fixture(scope="module")
def vm(cluster: SixVms) -> Iterator[VM]:
    """VM `llm` with Ollama installed as by hand, below /usr/local, and no unit."""
    vm = cluster.lab.vm("llm")
    assert state(vm) == "inactive", "without a program the unit is skipped; it has not failed"
    unpack = f"base64 -d | tar -xz -C {OLLAMA.parents[1]} --no-same-owner"
    vm.shell(f"{unpack} && chmod 755 {OLLAMA}", stdin=packed(built()))
    vm.shell(["systemctl", "start", UNIT])
    yield vm
    vm.shell(f"rm -r {OLLAMA} /usr/local/lib/ollama; systemctl stop {UNIT}")


def test_it_is_started_and_comes_back_when_it_is_killed(cluster: SixVms, vm: VM) -> None:
    assert vm.shell(["systemctl", "is-enabled", UNIT]).stdout.strip() == "enabled"
    assert "LISTEN" in vm.shell("ss -ltn | grep 127.0.0.1:11434").stdout, "on loopback alone"
    back = killed(cluster, "llm", "[o]llama serve")
    wait_for(back, 30, lambda: f"{UNIT} is {state(vm)}")
    assert cluster.health()["state"] == "ok"


def test_its_models_are_listed_chatted_with_and_removed_through_the_room(
    cluster: SixVms, vm: VM
) -> None:
    file = parts.path(parts.SMALL_CHAT)
    inside = Path("/var/cache/autobot") / file.relative_to(Settings().cache)
    modelfile = f'FROM {inside}\nTEMPLATE """{parts.CHATML}"""\n'
    vm.shell("cat > /tmp/Modelfile", stdin=modelfile)
    vm.run(f"ollama create {MODEL} -f /tmp/Modelfile")
    wait_for(lambda: MODEL in models(cluster), 30, lambda: str(models(cluster)))
    engine, answer = chat(cluster)
    assert engine == "ollama", answer
    assert answer["choices"][0]["message"]["content"]
    back = killed(cluster, "llm", "[o]llama serve")
    wait_for(back, 30, lambda: f"{UNIT} is {state(vm)}")
    wait_for(lambda: chat(cluster)[0] == "ollama", 60, lambda: str(chat(cluster)))
    request(cluster, "/ollama/api/delete", json.dumps({"model": MODEL}), "-X", "DELETE")
    wait_for(lambda: MODEL not in models(cluster), 30, lambda: str(models(cluster)))


def test_ollamas_own_unit_is_left_to_run_it(vm: VM) -> None:
    vm.shell(f"printf '[Service]\\nExecStart=/bin/true\\n' > {OLLAMAS_UNIT}")
    try:
        vm.shell(["systemctl", "restart", UNIT])
        assert state(vm) == "inactive"
    finally:
        vm.shell(f"rm {OLLAMAS_UNIT}; systemctl start {UNIT}")
    assert state(vm) == "active"
