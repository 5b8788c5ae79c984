"""The desktop's door with the real websockify and X server: who gets in, and who is kept out."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from autobot import files as private
from autobot.platform import programs
from autobot.platform.ray_env import prepare_run_dir
from autobot.platform.secrets import ensure_secrets
from autobot.settings import Settings
from tests.platform import free_ports


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The two programs of a desktop, running."""
    home = tmp_path_factory.mktemp("desktop")
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setattr(private, "SHORT", home / "s")
        patch.setattr("autobot.platform.ray_env.LONGEST_RUN_DIR", 80)
        (port,) = free_ports(1)
        made = Settings(home=home, desktop_port=port, desktop_display=77)
        ensure_secrets(made.secrets_dir)
        prepare_run_dir(made)
        desktop = (programs.desktop_x(made), programs.desktop_web(made))
        programs.prepare_programs(desktop)
        for program in desktop:
            process = stack.enter_context(
                subprocess.Popen(
                    program.argv,
                    env={"PATH": "/usr/bin:/bin", **program.env},
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            stack.callback(process.terminate)
        wait_for(made)
        yield made


def wait_for(settings: Settings) -> None:
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            there = probe.connect_ex(("127.0.0.1", settings.desktop_port)) == 0
        if there and (settings.run_dir / "vnc.sock").exists():
            return
        assert time.monotonic() < deadline, "the desktop did not come up"
        time.sleep(0.1)


def opened(settings: Settings, origin: str | None = None) -> ClientConnection:
    address = f"ws://127.0.0.1:{settings.desktop_port}/websockify"
    return connect(address, origin=origin, subprotocols=["binary"], proxy=None)  # pyright: ignore


def sign_in(settings: Settings, password: str) -> bytes:
    """What the X server says to a password: four zero bytes to the right one."""
    with opened(settings) as desktop:
        read = Reader(desktop)
        assert read(12).startswith(b"RFB 003.")
        desktop.send(b"RFB 003.008\n")
        kinds = read(read(1)[0])
        if not kinds:
            return b"refused: " + read(int.from_bytes(read(4), "big"))
        desktop.send(b"\x02")
        key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode()[:8].ljust(8, b"\0"))
        encryptor = Cipher(TripleDES(key * 3), modes.ECB()).encryptor()  # noqa: S305  VNC's own
        desktop.send(encryptor.update(read(16)) + encryptor.finalize())
        return read(4)


class Reader:
    """So many bytes of a stream that comes in messages."""

    def __init__(self, desktop: ClientConnection) -> None:
        self._desktop = desktop
        self._rest = b""

    def __call__(self, count: int) -> bytes:
        while len(self._rest) < count:
            message = self._desktop.recv(timeout=20)
            self._rest += message if isinstance(message, bytes) else message.encode()
        found, self._rest = self._rest[:count], self._rest[count:]
        return found


def test_wrong_passwords_of_others_do_not_lock_the_owner_out(settings: Settings) -> None:
    password = (settings.secrets_dir / "desktop_password").read_text().strip()
    for _ in range(12):
        assert sign_in(settings, "wrong") == b"\0\0\0\1"
    assert sign_in(settings, password) == b"\0\0\0\0"


def test_a_page_of_another_origin_is_kept_out(settings: Settings) -> None:
    for origin in ("http://evil.example", "null", f"http://localhost:{settings.desktop_port}"):
        with pytest.raises(InvalidStatus) as refused:
            opened(settings, origin)
        assert refused.value.response.status_code == 403, origin
    with opened(settings, f"http://127.0.0.1:{settings.desktop_port}") as own:
        assert own.recv(timeout=20)


def test_nobody_else_reaches_the_x_server_itself(settings: Settings) -> None:
    assert (settings.run_dir / "vnc.sock").stat().st_mode & 0o077 == 0
    assert Path(settings.run_dir).stat().st_mode & 0o077 == 0
