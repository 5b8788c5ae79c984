"""Ways in that were found open, tried on a real Chromium through the real routes."""

import asyncio
import base64
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.contract.browser.clients import Served
from tests.contract.browser.protocols.raw import Context, Message, Tab, raw
from tests.folders import let_in

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

DROP = """document.body.innerHTML = '<div id=it style=width:500px;height:500px></div>';
window.got = new Promise(done => {
  for (const kind of ['dragenter', 'dragover'])
    it.addEventListener(kind, e => e.preventDefault());
  it.addEventListener('drop', async e => {
    e.preventDefault();
    const file = e.dataTransfer.files[0];
    done(file ? await file.text().catch(x => 'error ' + x) : 'nothing');
  });
}); 0"""
PLAY = """new Promise(done => {
  const context = new AudioContext(), tone = context.createOscillator();
  tone.connect(context.destination); tone.start();
  setTimeout(() => done(context.state), 1500);
})"""


def said(answer: Message) -> str:
    """The refusal in ``answer``; empty when there is none."""
    error: Any = answer.get("error") or {}
    return (error.get("error") or error).get("message", "")


async def drop(ask: Any, data: Message) -> list[Message]:
    """Drag ``data`` over the page and let it go, by whichever way ``ask`` goes."""
    at = {"x": 100, "y": 100, "data": data}
    return [
        await ask("Input.dispatchDragEvent", type=kind, **at)
        for kind in ("dragEnter", "dragOver", "drop")
    ]


async def test_a_dragged_path_reads_no_file(served: Served) -> None:
    secret = f"/proc/{os.getpid()}/limits" if os.geteuid() else "/etc/passwd"
    async with raw(served, "cdp") as client:
        tab = await Tab.open(client, served.site + "/form")
        await tab.ask("Runtime.evaluate", expression=DROP)
        data = {"items": [], "files": [secret], "dragOperationsMask": 1}
        answers = await drop(tab.ask, data)
        assert all("path on the browser's VM" in said(answer) for answer in answers)
        innocent = {"items": [{"mimeType": "text/plain", "data": "tea"}], "dragOperationsMask": 1}
        assert not any(said(answer) for answer in await drop(tab.ask, innocent))
        assert await tab.value("window.got") == "nothing"


async def test_nor_does_one_inside_playwrights_protocol(served: Served) -> None:
    async with raw(served, "playwright") as client:
        context = await Context.open(client)
        made = await context.ask("newPage")
        page = {"guid": made["result"]["page"]["guid"]}
        session = await context.ask("newCDPSession", page=page)
        guid = session["result"]["session"]["guid"]

        async def ask(method: str, **params: Any) -> Message:
            sent = {"method": method, "params": params}
            return await client.ask("send", sent, guid=guid, metadata={})

        data = {"items": [], "files": ["/etc/passwd"], "dragOperationsMask": 1}
        for answer in await drop(ask, data):
            assert "path on the browser's VM" in said(answer)
        nested = {"id": 1, "method": "Page.navigate", "params": {"url": "file:///etc/passwd"}}
        wrapped = await ask("Target.sendMessageToTarget", message=str(nested))
        assert "not available" in said(wrapped)


@pytest.mark.parametrize("way", ["..", "foreign", "link", "relative"])
async def test_a_file_input_takes_no_path_outside_the_clients_folder(
    served: Served, way: str
) -> None:
    async with raw(served, "cdp") as client:
        tab = await Tab.open(client, served.site + "/files")
        folder = next(iter(served.room.connections._open)).folder  # type: ignore[union-attr]
        (folder / "planted").symlink_to("/etc/passwd")
        path = {
            "..": f"{folder}/../{folder.name}/../../../etc/passwd",
            "foreign": "/etc/passwd",
            "link": f"{folder}/planted",
            "relative": "etc/passwd",
        }[way]
        document = await tab.ask("DOM.getDocument")
        root = document["result"]["root"]["nodeId"]
        found = await tab.ask("DOM.querySelector", nodeId=root, selector="[type=file]")
        node = found["result"]["nodeId"]
        answer = await tab.ask("DOM.setFileInputFiles", nodeId=node, files=[path])
        assert "path on the browser's VM" in said(answer)
        assert await tab.value("document.querySelector('[type=file]').files.length") == 0


@pytest.mark.parametrize(
    ("root", "name"),
    [
        ("..", "x"),
        ("../..", "x"),
        (".", "x"),
        ("a/../..", "x"),
        ("a\0b", "x"),
        (None, "../x"),
        (None, "/tmp/x"),
        ("a", "b/../../../x"),
        ("a", ".."),
    ],
)
async def test_files_a_client_makes_stay_in_its_folder(
    served: Served, root: str | None, name: str
) -> None:
    async with raw(served, "playwright") as client:
        context = await Context.open(client)
        named = {"rootDirName": root} if root is not None else {}
        answer = await context.ask("createTempFiles", **named, items=[{"name": name}])
        assert "not a plain name" in said(answer)


@pytest.mark.parametrize("method", ["tracingStart", "tracingStartChunk"])
async def test_a_trace_cannot_be_named_outside_the_clients_folder(
    served: Served, method: str, tmp_path: Path
) -> None:
    where = Path(tempfile.mkdtemp())
    where.chmod(0o777)
    async with raw(served, "playwright") as client:
        context = await Context.open(client)
        tracing = context.tracing()
        if method != "tracingStart":
            await client.ask("tracingStart", {}, guid=tracing, metadata={})
        name = f"../../../../../..{where}/x"
        answer = await client.ask(method, {"name": name}, guid=tracing, metadata={})
        await client.ask("tracingStartChunk", {}, guid=tracing, metadata={})
        assert "not a plain name" in said(answer)
    assert list(where.iterdir()) == []
    where.rmdir()


async def test_playing_sound_runs_no_command_whatever_a_client_wrote(
    served: Served, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The break-in as it was: a sound configuration in Chromium's HOME names a command."""
    proof = Path(tempfile.mkdtemp()) / "proof"
    proof.parent.chmod(0o777)
    config = f'pcm.!default {{ type file file "|id > {proof}" slave.pcm null }}\n'
    config += "pcm.null { type null }\n"
    async with raw(served, "playwright") as client:
        context = await Context.open(client)
        for folder in Path(tempfile.gettempdir()).glob(f"autobot-browser-{os.getpid()}-*"):
            for name in (p for p in folder.rglob("*profile*") if p.is_dir()):
                relative = str(name.relative_to(folder)) + "/.asoundrc"
                made = await context.ask(
                    "createTempFiles", rootDirName="..", items=[{"name": relative}]
                )
                for stream in made.get("result", {}).get("writableStreams", []):
                    body = base64.b64encode(config.encode()).decode()
                    write = {"binary": body}
                    await client.ask("write", write, guid=stream["guid"], metadata={})
                    await client.ask("close", {}, guid=stream["guid"], metadata={})
        made = await context.ask("newPage")
        page = made["result"]["page"]["guid"]
        frame = (await client.event("__create__", type="Frame"))["params"]["guid"]
        await client.ask("goto", {"url": served.site}, guid=frame, metadata={"timeout": 10000})
        await client.ask("mouseClick", {"x": 50, "y": 50}, guid=page, metadata={})
        argument = {"value": {"v": "undefined"}, "handles": []}
        play = {"expression": PLAY, "isFunction": False, "arg": argument}
        played = await client.ask("evaluateExpression", play, guid=frame, metadata={})
        assert played["result"]["value"] == {"s": "running"}, played
    await asyncio.sleep(0.2)
    assert not proof.exists(), proof.read_text()
    proof.parent.rmdir()


RACER = """
import glob, os, sys, time
prefix, secret = sys.argv[1:]
known = set(glob.glob(prefix + "*"))
print("ready", flush=True)
while not (fresh := set(glob.glob(prefix + "*")) - known):
    pass
base = fresh.pop()
while not (uid := os.stat(base).st_uid):
    try:
        uid = os.stat(base + "/files").st_uid
    except OSError:
        continue
    if uid:
        break
os.setgroups([]); os.setgid(uid); os.setuid(uid)
ends = time.monotonic() + 10
while time.monotonic() < ends:
    for name in ("profile", "server.json", "chromium", "tmp/profile", "files/chromium",
                 "config/chromium", "config/server.json"):
        path = base + "/" + name
        try:
            if not os.path.islink(path):
                if os.path.exists(path):
                    os.rename(path, path + ".away")
                os.symlink(secret, path)
        except OSError:
            pass
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to give away")
@pytest.mark.parametrize("kind", ["cdp", "playwright"])
async def test_root_gives_nothing_away_to_the_browsers_user(
    served: Served, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """That user plants links for whatever root makes, writes or changes as a connection opens."""
    above = let_in(tmp_path_factory.mktemp("ours"))
    secret = above / "secret"
    secret.write_text("secret")
    secret.chmod(0o600)
    prefix = f"{tempfile.gettempdir()}/autobot-browser-{os.getpid()}-connection-"
    racer = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", RACER, prefix, str(secret)), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert racer.stdout is not None
        assert await racer.stdout.readline() == b"ready\n"
        # A browser that is hindered may not start.
        with contextlib.suppress(InvalidStatus, ConnectionClosed, TimeoutError):
            async with raw(served, kind) as client:
                if kind == "cdp":
                    await client.ask("Browser.getVersion")
    finally:
        racer.kill()
        await racer.wait()
    assert (secret.stat().st_uid, secret.stat().st_mode & 0o777) == (0, 0o600)
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("kind", ["cdp", "playwright"])
async def test_a_connection_cannot_see_another_ones_files_or_processes(
    served: Served, kind: str
) -> None:
    """Asked of the kernel, from inside: what a browser that was taken over would find."""
    async with raw(served, "cdp") as first, raw(served, kind) as second:
        await first.ask("Browser.getVersion")  # which has then begun
        if kind == "cdp":
            await second.ask("Browser.getVersion")
        connections = served.room.connections
        assert connections is not None
        links = sorted(connections._open, key=lambda link: link.created)
        one, other = links[-2].folder, links[-1].folder
        (one / "private").write_text("of the first")
        inside = process_that_sees(other)
        root = Path(f"/proc/{inside}/root")
        assert (root / str(other).lstrip("/")).is_dir()
        assert not (root / str(one).lstrip("/")).exists()
        for hidden in ("root", "home", "etc/shadow", "run", "var/lib", "usr/share/alsa/alsa.conf"):
            assert not (root / hidden).exists(), hidden
        assert list((root / str(other.parent / "home").lstrip("/")).iterdir()) == []
        if os.geteuid() == 0:
            assert one.stat().st_uid != other.stat().st_uid
            status = Path(f"/proc/{inside}/status").read_text()
            assert f"Uid:\t{other.stat().st_uid}\t" in status
        mine = Path(f"/proc/{inside}/ns/pid").readlink()
        assert mine != Path(f"/proc/{process_that_sees(one)}/ns/pid").readlink()
        assert mine != Path("/proc/self/ns/pid").readlink()


def process_that_sees(folder: Path) -> int:
    """Return a process in the place of the connection whose files are in ``folder``."""
    for process in psutil.Process().children(recursive=True):
        words = process.cmdline()
        if process.name() != "bwrap" and any(str(folder.parent) in word for word in words):
            return process.pid
    raise AssertionError("The connection has no process.")


async def test_nobody_commands_chromiums_own_pages(served: Served) -> None:
    """Their script may open the other ones, change settings, and have files opened."""
    async with raw(served, "cdp") as client:
        found = await client.ask("Target.getTargets", {"filter": [{}]})
        targets = found["result"]["targetInfos"]
        pages = [each["url"] for each in targets if each["type"] in ("page", "tab")]
        assert set(pages) == {"about:blank"}
        own = [each for each in targets if each["url"].startswith("chrome")]
        assert own  # else this shows nothing
        for target in own:
            where = {"targetId": target["targetId"], "flatten": True}
            session = (await client.ask("Target.attachToTarget", where))["result"]["sessionId"]
            given = {"expression": "location.href"}
            answer = await client.ask("Runtime.evaluate", given, sessionId=session)
            assert "browser's own" in said(answer)


@pytest.mark.parametrize("kind", ["file:///etc/passwd", "chrome://settings/", "view-source:"])
async def test_chromium_itself_opens_no_file_and_no_page_of_its_own(
    served: Served, kind: str
) -> None:
    """Past the list of what a client may say, as a mistake in it would be."""
    async with raw(served, "cdp") as client:
        tab = await Tab.open(client, served.site + "/form")
        url = kind + served.site if kind == "view-source:" else kind
        asked = {"id": 10_000, "method": "Page.navigate", "params": {"url": url}}
        link = next(iter(served.room.connections._open))  # type: ignore[union-attr]
        await link.remote.send(json.dumps({**asked, "sessionId": tab.session}))
        answer = await client.heard_of(10_000)
        assert answer["result"]["errorText"] == "net::ERR_BLOCKED_BY_ADMINISTRATOR"
