"""How the process of llama.cpp ends: with its parent's word, or with a reason. The library is a
stand-in here; the real one is in the contract's tests."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.llm.engines.llamacpp.process import HOST

STAND_IN = """
class Anything:
    def __getattr__(self, name):
        return self.__dict__.setdefault(name, Anything())

class Server:
    listening_address = "here"
    def __init__(self, params):
        {load}

common_reasoning_format = Anything()
def CommonParams(): return Anything()
def get_device_info(): {devices}
"""


def run(tmp_path: Path, load: str, devices: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Load with the stand-in and close stdin; return how it ended, and the socket's folder."""
    library, folder = tmp_path / "library", tmp_path / "socket"
    library.mkdir()
    folder.mkdir()
    (library / "xllamacpp.py").write_text(STAND_IN.format(load=load, devices=devices))
    order = {"model": "m", "socket": f"{folder}/s", "context": 1, "slots": 1, "threads": 1}
    child = subprocess.run(
        [sys.executable, "-P", str(HOST)],
        input=json.dumps(order) + "\n",
        env={"PYTHONPATH": str(library)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return child, folder


NO_DEVICES = "return []"


def test_closed_stdin_ends_it_with_code_0(tmp_path: Path) -> None:
    child, folder = run(tmp_path, "pass", NO_DEVICES)
    assert json.loads(child.stdout)["ready"] is True
    assert (child.returncode, child.stderr) == (0, "")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("load", "devices"),
    [
        ("raise RuntimeError('no such tensor')", NO_DEVICES),
        ("pass", "raise KeyError('no such tensor')"),
        ("raise SystemExit('no such tensor')", NO_DEVICES),
    ],
)
def test_a_crash_ends_it_with_code_1_and_its_reason_in_the_log(
    tmp_path: Path, load: str, devices: str
) -> None:
    child, folder = run(tmp_path, load, devices)
    assert child.returncode == 1
    assert "no such tensor" in child.stderr
    assert child.stderr.count("\n") == 1, "the caller is told the log's last lines"
    assert child.stdout == ""
    assert not folder.exists()
