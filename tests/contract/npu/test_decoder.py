"""Files that are made to do harm, in the process that decodes them."""

import errno
import io
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from autobot.errors import AutoBotError, BadRequest, TooLarge
from autobot.sandbox import Limits
from deployments.npu.decoding.decoder import Decoder
from deployments.npu.ocr.pictures import PICTURES, Pictures
from deployments.npu.speech.recordings import RECORDINGS, Recordings
from tests.contract.npu.conftest import as_file, draw
from tests.contract.npu.ocr.test_contract import bomb as picture_bomb
from tests.contract.npu.ocr.test_pdf import bomb as pdf_bomb
from tests.contract.npu.ocr.test_pdf import one_page
from tests.contract.npu.speech.test_contract import tone, wav

FINE = as_file(draw())
MIB = 1 << 20
FOR_EVER = one_page(b"0 0 m " + b"612 792 l 0 792 l 612 0 l 0 0 l " * 300_000 + b"f*")


@pytest.fixture
def pictures() -> Iterator[Pictures]:
    yield from closed(Pictures())


@pytest.fixture
def recordings() -> Iterator[Recordings]:
    yield from closed(Recordings())


def closed(files: Any) -> Iterator[Any]:
    try:
        yield files
    finally:
        files.close()


def processes(files: Pictures | Recordings) -> tuple[psutil.Process, psutil.Process]:
    """The decoder's server and the child it has ready; other tests' decoders run beside them."""
    assert files._decoder._server is not None
    server = psutil.Process(files._decoder._server.process.pid)
    deadline = time.monotonic() + 10
    while len(ready := server.children()) != 1 or ready[0].status() == psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, ready
        time.sleep(0.01)
    return server, ready[0]


def memory() -> int:
    return psutil.Process().memory_info().rss


def slow_matroska(rate: int, samples: int) -> bytes:
    """``samples`` 8-bit samples at ``rate`` a second."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as written:
        stream: Any = written.add_stream("pcm_u8", rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, samples), np.uint8), "u8", "mono")
        frame.sample_rate = rate
        written.mux(stream.encode(frame))
        written.mux(stream.encode(None))
    return file.getvalue()


def deep_tiff(side: int) -> bytes:
    grey = np.zeros((side, side), np.float32)
    grey[0, 0] = 1
    return as_file(Image.fromarray(grey), "TIFF", compression="tiff_adobe_deflate")


def test_a_file_of_one_sample_a_second_costs_the_room_no_memory(recordings: Recordings) -> None:
    recordings.decode(wav(tone(1.0)), 60)
    hostile, before = slow_matroska(1, 8000), memory()
    assert len(hostile) < 9000
    with pytest.raises(AutoBotError) as refused:
        recordings.decode(hostile, 3600 * 24)
    assert 400 <= refused.value.status < 500
    assert memory() - before < 50 * MIB


def test_a_frame_that_lasts_too_long_is_refused_before_it_is_made(recordings: Recordings) -> None:
    with pytest.raises(TooLarge, match="longer than 3 s"):
        recordings.decode(slow_matroska(1000, 8000), 3)


def test_a_deep_picture_of_the_largest_size_is_read_within_the_limit(pictures: Pictures) -> None:
    small, before = deep_tiff(6300), memory()
    assert len(small) < MIB
    assert pictures.decode(small).width == 6300
    assert memory() - before < 100 * MIB


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA", "CMYK"])
def test_a_picture_of_the_largest_size_is_read_within_the_limit(
    pictures: Pictures, mode: str
) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = Image.new(mode, (6300, 6300))
    options = {"compression": "tiff_adobe_deflate"} if kind == "TIFF" else {"compress_level": 1}
    assert pictures.decode(as_file(image, kind, **options)).width == 6300


HOSTILE: dict[str, tuple[bytes, Limits, str]] = {
    "memory": (one_page(pdf_bomb(), filters=b"/Filter/FlateDecode"), PICTURES, "memory"),
    "processor time": (FOR_EVER, Limits(PICTURES.memory, 1, 60), "1 s of processor time"),
    "time": (FOR_EVER, Limits(PICTURES.memory, 60, 1), "longer than 1 s"),
    "pixels": (picture_bomb(40_000, 40_000), PICTURES, "pixels"),
    "little memory": (as_file(Image.new("RGB", (3000, 3000))), Limits(9 * MIB, 9, 9), "9 MiB"),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_takes_too_much_is_refused_with_what_it_took_and_the_next_is_read(
    what: str,
) -> None:
    data, limits, said = HOSTILE[what]
    pictures = Pictures(limits)
    try:
        before = memory()
        with pytest.raises(TooLarge, match=said):
            pictures.decode(data)
        assert memory() - before < 50 * MIB
        assert pictures.decode(FINE).width == 900 or limits is not PICTURES
    finally:
        pictures.close()


def test_a_decoder_that_crashes_costs_its_file_only(pictures: Pictures) -> None:
    pictures.decode(FINE)
    server, waiting = processes(pictures)
    slow = Pictures(Limits(PICTURES.memory, 60, 60))
    pictures._decoder.limits = slow._decoder.limits
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            pictures.decode(FOR_EVER)
        except TooLarge as error:
            failed.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    while waiting.cpu_times().user < 0.2:  # it has begun
        assert asking.is_alive()
    waiting.send_signal(11)
    asking.join(20)
    assert "SIGSEGV" in str(failed[0])
    assert pictures.decode(FINE).width == 900
    assert server.is_running()


def test_a_server_that_was_killed_is_replaced(pictures: Pictures) -> None:
    pictures.decode(FINE)
    server, waiting = processes(pictures)
    server.kill()
    waiting.kill()
    assert pictures.decode(FINE).width == 900


def test_a_server_ends_with_the_one_it_serves() -> None:
    pictures = Pictures()
    pictures.decode(FINE)
    server, waiting = processes(pictures)
    pictures._decoder._server._control.close()  # type: ignore[union-attr]  as a killed replica does
    gone, alive = psutil.wait_procs([server, waiting], timeout=20)
    assert gone
    assert not alive
    pictures.close()


class Probe:
    """Code that a file has made the decoder run."""

    def __init__(self, tmp_path: Path, body: str) -> None:
        package = tmp_path / "probe_decoder.py"
        package.write_text(
            "import ctypes, os, signal, socket, subprocess, json\n"
            "libc = ctypes.CDLL(None, use_errno=True)\n"
            "def warm_up(): pass\n"
            "def decode(data, **options):\n"
            "    try:\n"
            f"        said = {body}\n"
            "    except OSError as error:\n"
            "        said = error.errno\n"
            "    return {'said': said}, b''\n"
        )


FORBIDDEN = {
    "open a file": "os.open('/etc/passwd', os.O_RDONLY)",
    "list a folder": "os.listdir('/')",
    "open a socket": "socket.socket().fileno()",
    "start a process": "os.fork()",
    "run a program": "os.execv('/bin/true', ['true'])",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "look into its parent": "open(f'/proc/{os.getppid()}/mem', 'rb').fileno()",
    "put off its deadline": "signal.setitimer(signal.ITIMER_REAL, 0)",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_code_that_a_file_makes_run_can_do_nothing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Probe(tmp_path, FORBIDDEN[what])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AUTOBOT_SECRET", "hidden")
    decoder = Decoder("probe_decoder", RECORDINGS)
    try:
        said = decoder.decode(b"", 0, {})[0]["said"]
    finally:
        decoder.close()
    assert said == errno.EPERM


def test_a_decoder_has_no_secret_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Probe(tmp_path, "sorted(os.environ)")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AUTOBOT_SECRET", "hidden")
    decoder = Decoder("probe_decoder", RECORDINGS)
    said = decoder.decode(b"", 0, {})[0]["said"]
    decoder.close()
    assert set(said) <= {
        "LANG",
        "LC_CTYPE",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "PYTHONPATH",
    }


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0)
        yield listening


def test_playlists_and_descriptions_reach_no_address_and_no_file(
    recordings: Recordings, listener: socket.socket, tmp_path: Path
) -> None:
    port = listener.getsockname()[1]
    (tmp_path / "secret.wav").write_bytes(wav(tone(1.0)))
    here = tmp_path / "secret.wav"
    for text in (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{here}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{here}'\n",
        f"ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/a.wav'\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=audio {port} RTP/AVP 0\n",
        f"<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'><Period><AdaptationSet>"
        f"<Representation id='1'><BaseURL>http://127.0.0.1:{port}/a</BaseURL></Representation>"
        f"</AdaptationSet></Period></MPD>",
        f"http://127.0.0.1:{port}/a.wav",
        str(here),
        f"[InternetShortcut]\nURL=http://127.0.0.1:{port}/a\n",
        f"RTSPtext\r\nrtsp://127.0.0.1:{port}/a\r\n",
    ):
        with pytest.raises(BadRequest):
            recordings.decode(text.encode(), 60)
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_quicktime_references_reach_no_file(recordings: Recordings, tmp_path: Path) -> None:
    """A `mov` may say that its samples lie in another file (`dref`)."""
    secret = tmp_path / "secret.raw"
    secret.write_bytes(b"\x11\x22" * 48_000)
    with pytest.raises(BadRequest):
        recordings.decode(referring_mov(str(secret)), 60)


def referring_mov(path: str) -> bytes:
    """An hour-glass of boxes: one PCM track whose data reference is an alias of ``path``."""

    def box(kind: bytes, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return struct.pack(">I", len(body) + 8) + kind + body

    count = 16_000
    name = path.encode()
    alias = bytes(4) + struct.pack(">HH", 0, 2) + bytes(142) + struct.pack(">HH", 2, len(name))
    alias += name + bytes(len(name) % 2) + struct.pack(">HH", 0xFFFF, 0)
    dref = box(b"dref", bytes(4), struct.pack(">I", 1), box(b"alis", alias))
    sound = bytes(6) + struct.pack(">H", 1) + bytes(8)
    sound += struct.pack(">HHHHI", 1, 16, 0, 0, 16_000 << 16)
    stbl = box(
        b"stbl",
        box(b"stsd", bytes(4), struct.pack(">I", 1), box(b"twos", sound)),
        box(b"stts", bytes(4), struct.pack(">III", 1, count, 1)),
        box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, count, 1)),
        box(b"stsz", bytes(4), struct.pack(">II", 2, count)),
        box(b"stco", bytes(4), struct.pack(">II", 1, 0)),
    )
    mdhd = box(b"mdhd", bytes(12), struct.pack(">IIHH", 16_000, count, 0, 0))
    hdlr = box(b"hdlr", bytes(4), b"mhlrsoun", bytes(13))
    minf = box(b"minf", box(b"smhd", bytes(8)), box(b"dinf", dref), stbl)
    tkhd = box(b"tkhd", struct.pack(">I", 3), bytes(8), struct.pack(">I", 1), bytes(68))
    mvhd = box(b"mvhd", bytes(12), struct.pack(">II", 16_000, count), bytes(80))
    trak = box(b"trak", tkhd, box(b"mdia", mdhd, hdlr, minf))
    return box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + box(b"moov", mvhd, trak)
