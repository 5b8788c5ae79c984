"""Named profiles: a session's cookies and storage, sealed under its caller's own API key.

The key of the seal is computed (HKDF-SHA256) from the API key, which nothing stores: Redis has its
hash alone, and the browser's VM only while one of its sessions is open. Whoever has the API key can
open the profile in any replica on any VM, nobody else anywhere, and a revoked key's profiles are
noise. Owner and name are sealed in (AES-256-GCM's associated data), so Redis cannot exchange two.

A profile has one writer at a time: it holds a lease in room redis and renews it while it lives.
"""

import hashlib
import hmac
import json
import secrets
import zlib
from typing import Any

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from autobot.contracts.profiles import Outcome, Profiles
from autobot.errors import Conflict, NotFound, TooLarge, Unavailable

log = structlog.get_logger()

LEASE_S = 90.0
RENEWED_EVERY_S = 20.0
MAX_PLAIN = 16 << 20
"""Bytes of a profile's JSON, which is compressed before it is sealed."""
SALT, NONCE = 16, 12
FORMAT = b"\x01"
PURPOSE = b"autobot browser profile"


class ProfileDamaged(Conflict):
    """This profile cannot be opened: it was not sealed under this API key, or it was changed."""

    type = "profile-damaged"


class Seal:
    """What opens and closes one key's profiles. It cannot be computed back to the API key."""

    def __init__(self, api_key: str) -> None:
        self._root = hmac.new(PURPOSE, api_key.encode(), hashlib.sha256).digest()

    def _cipher(self, salt: bytes) -> AESGCM:
        derived = HKDF(algorithm=SHA256(), length=32, salt=salt, info=PURPOSE).derive(self._root)
        return AESGCM(derived)

    def close(self, owner: str, name: str, storage: dict[str, Any]) -> bytes:
        """Return ``storage`` sealed. Raises `TooLarge`."""
        plain = json.dumps(storage, ensure_ascii=False, separators=(",", ":")).encode()
        if len(plain) > MAX_PLAIN:
            raise TooLarge(f"Profile `{name}` has {len(plain)} bytes; {MAX_PLAIN} may be kept.")
        salt, nonce = secrets.token_bytes(SALT), secrets.token_bytes(NONCE)
        bound = f"{owner}/{name}".encode()
        return (
            FORMAT + salt + nonce + self._cipher(salt).encrypt(nonce, zlib.compress(plain), bound)
        )

    def open(self, owner: str, name: str, sealed: bytes) -> dict[str, Any]:
        """Return what was sealed. Raises `ProfileDamaged`."""
        head, body = sealed[: 1 + SALT + NONCE], sealed[1 + SALT + NONCE :]
        salt, nonce = head[1 : 1 + SALT], head[1 + SALT :]
        try:
            if head[:1] != FORMAT:
                raise ProfileDamaged
            packed = self._cipher(salt).decrypt(nonce, body, f"{owner}/{name}".encode())
        except (InvalidTag, ValueError) as error:
            raise ProfileDamaged from error
        return json.loads(zlib.decompressobj().decompress(packed, MAX_PLAIN))


class Profile:
    """A profile that one session holds: ``storage`` is what was in it."""

    def __init__(self, owner: str, name: str, seal: Seal, store: Profiles) -> None:
        self.name = name
        self.storage: dict[str, Any] | None = None
        self._owner, self._seal, self._store = owner, seal, store
        self._token = secrets.token_hex(16)

    async def take(self) -> None:
        """Become its writer and read it. Raises `Conflict` while another session is."""
        found = await self._store.take(self._owner, self.name, self._token, LEASE_S)
        _check(found[0], self.name)
        if found[1] is None:
            return
        try:
            self.storage = self._seal.open(self._owner, self.name, found[1])
        except BaseException:
            await self.release()
            raise

    async def save(self, storage: dict[str, Any]) -> int:
        """Keep ``storage``; return how many bytes it takes. Raises `Conflict` or `TooLarge`."""
        sealed = self._seal.close(self._owner, self.name, storage)
        _check(await self._store.save(self._owner, self.name, self._token, sealed), self.name)
        self.storage = storage
        return len(sealed)

    async def renew(self) -> None:
        """Stay its writer for another `LEASE_S`; a lost lease is logged, and told by `save`."""
        try:
            reason: str = await self._store.renew(self._owner, self.name, self._token, LEASE_S)
        except Unavailable as error:
            reason = error.detail
        if reason != "ok":
            log.warning("browser.profile_lease", reason=reason)

    async def release(self) -> None:
        """Let others write it; never raises, for the lease ends by itself."""
        try:
            await self._store.release(self._owner, self.name, self._token)
        except Unavailable as error:
            log.warning("browser.profile_lease", reason=error.detail)


async def delete(store: Profiles, owner: str, name: str) -> None:
    """Forget a profile. Raises `NotFound`, or `Conflict` while a session writes it."""
    _check(await store.delete(owner, name), name)


def _check(outcome: Outcome, name: str) -> None:
    if outcome == "held":
        raise Conflict(f"Another session is using profile `{name}`.")
    if outcome == "full":
        raise Conflict("This API key has as many profiles as it may; delete one.")
    if outcome == "large":
        raise TooLarge(f"Profile `{name}` is larger than a profile may be.")
    if outcome == "lost":
        raise Conflict(f"This session is no longer the writer of profile `{name}`.")
    if outcome == "none":
        raise NotFound(f"There is no profile `{name}`.")
