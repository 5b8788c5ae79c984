"""Values sealed under the platform's key: AES-GCM, with the secret's name as associated data."""

import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from autobot.errors import Unavailable

KEY_BYTES = 32
NONCE_BYTES = 12
FORMAT = b"\x01"
"""Of what is sealed, its first byte."""


class Seal:
    """The key is read from its file at every use: a file that comes later, or is another one, needs
    no restart."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def seal(self, name: str, value: str) -> bytes:
        """Return the value sealed under a fresh nonce. Raises `Unavailable` without a key."""
        cipher = self._cipher()
        if cipher is None:
            raise Unavailable(
                f"{self._file} does not hold the key that seals secrets, {KEY_BYTES} bytes in "
                "hexadecimal. A new start of the platform makes it where there is none."
            )
        nonce = secrets.token_bytes(NONCE_BYTES)
        return FORMAT + nonce + cipher.encrypt(nonce, value.encode(), name.encode())

    def open(self, name: str, sealed: bytes) -> str | None:
        """Return the value; None for what this key did not seal, for that name."""
        cipher = self._cipher()
        if cipher is None or sealed[:1] != FORMAT or len(sealed) <= 1 + NONCE_BYTES:
            return None
        try:
            return cipher.decrypt(sealed[1:13], sealed[13:], name.encode()).decode()
        except (InvalidTag, UnicodeDecodeError):
            return None

    def _cipher(self) -> AESGCM | None:
        try:
            key = bytes.fromhex(self._file.read_text().strip())
        except (OSError, ValueError):
            return None
        return AESGCM(key) if len(key) == KEY_BYTES else None
