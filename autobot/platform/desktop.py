"""The desktop of room main: an X server that speaks VNC on a private socket, and its password."""

import os
import secrets
import struct
from pathlib import Path

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from autobot.platform.program_files import ProgramFile
from autobot.settings import Settings

# The key every VNC server and `vncpasswd` use to obscure a password file (RealVNC, 1998), with the
# bits of each byte mirrored, as VNC's DES reads them.
VNC_KEY = bytes(int(f"{byte:08b}"[::-1], 2) for byte in (23, 82, 107, 6, 35, 78, 88, 7))
FAMILY_WILD = 65535
COOKIE_NAME = b"MIT-MAGIC-COOKIE-1"
COOKIE_BYTES = 16


def obscured(password: str) -> bytes:
    """Return a VNC password file's eight bytes. It hides nothing: keep the file at 0600."""
    block = password.encode()[:8].ljust(8, b"\0")
    # One block, so a zero vector makes CBC the plain DES that VNC means.
    encryptor = Cipher(TripleDES(VNC_KEY * 3), modes.CBC(bytes(8))).encryptor()
    return encryptor.update(block) + encryptor.finalize()


def xauthority(cookie: bytes) -> bytes:
    """Return an Xauthority file that opens any display of this machine to holders of ``cookie``."""

    def counted(field: bytes) -> bytes:
        return struct.pack(">H", len(field)) + field

    family = struct.pack(">H", FAMILY_WILD)
    return family + counted(b"") + counted(b"") + counted(COOKIE_NAME) + counted(cookie)


def desktop_files(settings: Settings) -> tuple[ProgramFile, ...]:
    """Return what the X server reads: its password file and, made once, its clients' cookie."""

    def password() -> bytes:
        return obscured((settings.secrets_dir / "desktop_password").read_text().strip())

    def cookie() -> bytes:
        return xauthority(secrets.token_bytes(COOKIE_BYTES))

    return (
        ProgramFile(vnc_password(settings), password),
        ProgramFile(_cookie_file(settings), cookie, once=True),
    )


def vnc_password(settings: Settings) -> Path:
    """Return the file of the obscured password, which the X server reads."""
    return settings.run_dir / "vnc_password"


def desktop_env(settings: Settings) -> dict[str, str]:
    """Return what a program on the desktop needs: its display, and the cookie that opens it."""
    return {
        "DISPLAY": f":{settings.desktop_display}",
        "XAUTHORITY": str(_cookie_file(settings)),
        "HOME": os.environ.get("HOME", str(settings.home)),
        "LANG": "C.UTF-8",
    }


def _cookie_file(settings: Settings) -> Path:
    return settings.run_dir / "xauthority"
