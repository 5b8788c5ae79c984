"""The registries' own clients: real pip on a local folder, npm by a stand-in program."""

import asyncio
import sys
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from autobot import nodejs
from autobot.catalogue import clients
from autobot.catalogue.archives import Archive, CarrierError, Piece, WheelTags, extract
from autobot.catalogue.clients import NpmPack, Pip, run
from tests.unit.catalogue.fakes import sha, until, wheel

METADATA = b"Metadata-Version: 2.1\nName: toy-part\nVersion: 1.0\n"
PAYLOAD = b"weights" * 100


def put_wheel(folder: Path, tag: str = "py3-none-any") -> None:
    info = "toy_part-1.0.dist-info"
    members = {
        "toy_part/data.bin": PAYLOAD,
        f"{info}/METADATA": METADATA,
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n".encode(),
        f"{info}/RECORD": b"",
    }
    (folder / f"toy_part-1.0-{tag}.whl").write_bytes(wheel(members))


def toy(tags: WheelTags | None = None, version: str = "1.0") -> Archive:
    piece = Piece("toy_part/data.bin", "data.bin", 0, len(PAYLOAD), sha(PAYLOAD))
    return Archive("pypi", "toy-part", version, 500, (piece,), tags)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for its only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


async def test_pip_brings_a_wheel_whose_member_is_the_payload(index: Path, work: Path) -> None:
    put_wheel(index)
    downloaded = await Pip().download(toy(), work)
    extract(toy(), downloaded, work / "staging", Event())
    assert (work / "staging/data.bin.part").read_bytes() == PAYLOAD


async def test_pip_brings_the_wheel_of_the_named_platform(index: Path, work: Path) -> None:
    put_wheel(index, "cp39-cp39-manylinux_2_17_aarch64")
    tags = WheelTags(
        platform="manylinux_2_17_aarch64", python="3.9", implementation="cp", abi="cp39"
    )
    assert (await Pip().download(toy(tags), work)).suffix == ".whl"


async def test_pip_never_builds_a_source_distribution(index: Path, work: Path) -> None:
    (index / "toy-part-1.0.tar.gz").write_bytes(b"anything: it must not even be opened")
    with pytest.raises(CarrierError, match="No matching distribution"):
        await Pip().download(toy(), work)


async def test_the_bundled_pip_serves_when_none_is_installed(
    index: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = clients.importlib.util.find_spec
    monkeypatch.setattr(
        clients.importlib.util, "find_spec", lambda name: None if name == "pip" else find(name)
    )
    put_wheel(index)
    assert clients.pip_command()[1:] != ["-m", "pip"]
    assert (await Pip().download(toy(), work)).suffix == ".whl"


def test_no_pip_at_all_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(clients, "_wheel_folders", list)
    monkeypatch.setattr(clients.shutil, "which", lambda _: None)
    with pytest.raises(CarrierError, match="apt: python3-pip"):
        clients.pip_command()


async def test_npm_is_asked_to_run_no_script(
    work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin/npm"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'echo "$@" > ../asked\n'
        'while [ "$1" != --pack-destination ]; do shift; done\n'
        'echo tarball > "$2/toy-1.0.tgz"\n'
    )
    program.chmod(0o755)
    node = program.with_name("node")
    node.write_text("#!/bin/sh\necho v24.0.0\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    downloaded = await NpmPack().download(Archive("npm", "@a/toy", "1.0", 10, ()), work)
    assert downloaded.read_text() == "tarball\n"
    asked = (tmp_path / "asked").read_text().split()
    assert asked[0] == "pack"
    assert "--ignore-scripts" in asked
    assert asked[-1] == "@a/toy@1.0"


async def test_a_machine_without_npm_says_how_to_get_it(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(work))
    monkeypatch.setattr(nodejs, "WHEEL", "no_such_wheel")
    with pytest.raises(CarrierError, match="npm is not on this machine: install Node"):
        await NpmPack().download(Archive("npm", "@a/toy", "1.0", 10, ()), work)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("npm error code ECONNREFUSED\nnpm error a\nnpm error b\nnpm error c", "ECONNREFUSED"),
        ("WARNING: slow\nWARNING: slow\nERROR: No matching distribution", "No matching"),
    ],
)
async def test_the_cause_is_kept_wherever_a_client_puts_it(
    work: Path, words: str, cause: str
) -> None:
    with pytest.raises(CarrierError, match=f"toy ended with 1: .*{cause}"):
        await run("toy", [sys.executable, "-c", f"import sys; sys.exit({words!r})"], work)


async def test_credentials_of_an_index_stay_out_of_the_error(work: Path) -> None:
    program = "import sys; sys.exit('cannot reach http://user:secret@index/simple')"
    with pytest.raises(CarrierError, match=r"//\*\*\*@index/simple") as failure:
        await run("toy", [sys.executable, "-c", program], work)
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize("start_s", [0.0, 0.3], ids=["running", "just starting"])
async def test_a_cancelled_download_ends_its_whole_process_group(
    work: Path, monkeypatch: pytest.MonkeyPatch, start_s: float
) -> None:
    start = asyncio.create_subprocess_exec

    async def slow_start(*command: str, **how: Any) -> asyncio.subprocess.Process:
        process = await start(*command, **how)
        await asyncio.sleep(start_s)  # the program runs, but its caller does not know yet
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", slow_start)
    script = "sleep 60 & echo $! > child; wait"
    task = asyncio.create_task(run("toy", ["/bin/sh", "-c", script], work))
    note = work / "child"
    await until(lambda: note.exists() and bool(note.read_text()))
    child = int(note.read_text())
    assert alive(child)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: not alive(child))


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
