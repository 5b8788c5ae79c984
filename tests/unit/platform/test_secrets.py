"""Secrets are made once, closed to others, and a VM is given only its own."""

import hashlib
import stat
from pathlib import Path

import pytest

from autobot.errors import SetupError
from autobot.keys import RECORDS, hash_key
from autobot.manifests import rooms
from autobot.platform.secrets import SEALING_KEY, divide, ensure_secrets, files_of

ROOMS = tuple(rooms())


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(f.relative_to(folder)): f.read_bytes()
        for f in sorted(folder.rglob("*"))
        if f.is_file() and f.name != ".lock"
    }


def test_a_second_call_changes_nothing_and_shows_no_key(tmp_path: Path) -> None:
    first = ensure_secrets(tmp_path / "secrets")
    before = contents(tmp_path / "secrets")
    second = ensure_secrets(tmp_path / "secrets")
    assert first.owner_key is not None
    assert second.owner_key is None
    assert contents(tmp_path / "secrets") == before


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    ensure_secrets(tmp_path / "secrets")
    modes = {
        stat.S_IMODE(path.stat().st_mode)
        for path in [tmp_path / "secrets", *(tmp_path / "secrets").rglob("*")]
    }
    assert modes == {0o700, 0o600}


def test_the_owners_key_is_kept_only_as_a_hash(tmp_path: Path) -> None:
    secrets = ensure_secrets(tmp_path / "secrets")
    assert secrets.owner_key is not None
    assert secrets.owner_key.encode() not in b"".join(contents(tmp_path / "secrets").values())
    seeds = RECORDS.validate_json((tmp_path / "secrets" / "seed_keys.json").read_bytes())
    assert {record.sha256: record.name for record in seeds} == {
        hash_key(secrets.owner_key): "owner",
        hash_key(secrets.read("cli_key")): "cli",
    }


def test_a_given_first_key_becomes_the_owners(tmp_path: Path) -> None:
    given = "ab_given_0123456789abcdef"
    assert ensure_secrets(tmp_path / "secrets", given).owner_key == given
    seeds = (tmp_path / "secrets" / "seed_keys.json").read_text()
    assert hashlib.sha256(given.encode()).hexdigest() in seeds


def test_a_short_first_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="AUTOBOT_API_KEY"):
        ensure_secrets(tmp_path / "secrets", "short")


def test_a_platform_of_before_gets_the_sealing_key_and_keeps_the_rest(tmp_path: Path) -> None:
    ensure_secrets(tmp_path / "secrets")
    (tmp_path / "secrets" / SEALING_KEY).unlink()
    before = contents(tmp_path / "secrets")
    divide(tmp_path / "secrets", tmp_path / "before", ("llm",))
    assert ensure_secrets(tmp_path / "secrets").owner_key is None
    after = contents(tmp_path / "secrets")
    assert after.items() > before.items()
    assert after.keys() - before.keys() == {SEALING_KEY}
    assert len(bytes.fromhex(after[SEALING_KEY].decode())) == 32
    divide(tmp_path / "secrets", tmp_path / "rooms", ROOMS)
    holders = {room for room in ROOMS if (tmp_path / "rooms" / room / SEALING_KEY).exists()}
    assert holders == {"main"}


def test_each_room_gets_its_own_and_the_browser_no_password_at_all(tmp_path: Path) -> None:
    ensure_secrets(tmp_path / "secrets")
    divide(tmp_path / "secrets", tmp_path / "rooms", ROOMS)
    for room in ROOMS:
        assert set(contents(tmp_path / "rooms" / room)) == set(files_of(room))
    assert set(contents(tmp_path / "rooms" / "browser")) == {"ray_token"}
    assert "redis/operator" in contents(tmp_path / "rooms" / "redis")
    users_of_others = {name for name in contents(tmp_path / "rooms" / "npu") if "redis/" in name}
    assert users_of_others == {"redis/npu"}


def test_what_a_room_may_no_longer_hold_is_taken_away(tmp_path: Path) -> None:
    ensure_secrets(tmp_path / "secrets")
    stray = tmp_path / "rooms" / "browser" / "redis" / "main"
    stray.parent.mkdir(parents=True)
    stray.write_text("a password")
    divide(tmp_path / "secrets", tmp_path / "rooms", ROOMS)
    assert not stray.exists()
