"""Folders for sockets and secrets are ours alone, whoever was there first."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from autobot.errors import SetupError
from autobot.files import is_shared, private_folder, refuse_to_run_what_others_wrote
from autobot.platform import redis_conf
from autobot.platform.secrets import ensure_secrets
from autobot.settings import Settings


def test_it_is_made_closed_and_an_open_one_is_closed(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "mine"
    assert private_folder(folder) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o777)
    private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_link_or_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SetupError, match="not a folder of this user"):
        private_folder(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_somebody_elses_folder_is_refused_and_gets_no_secret(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir(mode=0o777)
    shutil.chown(folder, "nobody")
    with pytest.raises(SetupError, match="not a folder of this user"):
        ensure_secrets(folder)
    assert not list(folder.iterdir())


def test_a_folder_of_everybody_is_told_from_ones_own(tmp_path: Path) -> None:
    assert not is_shared(private_folder(tmp_path / "mine"))
    (tmp_path / "all").mkdir()
    (tmp_path / "all").chmod(0o1777)
    assert is_shared(tmp_path / "all")


def test_a_program_that_others_may_change_is_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "redis-stack"
    folder.mkdir()
    program = folder / "redis-server"
    program.touch(0o755)
    refuse_to_run_what_others_wrote(tmp_path, folder, program)
    folder.chmod(0o1777)  # as `/tmp`: nobody else may replace what is ours
    refuse_to_run_what_others_wrote(tmp_path, folder, program)
    for path, mode in ((folder, 0o777), (program, 0o757)):
        folder.chmod(0o755)
        path.chmod(mode)
        with pytest.raises(SetupError, match=f"Other users may change {path}"):
            refuse_to_run_what_others_wrote(tmp_path, folder, program)


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_nor_is_somebody_elses(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.touch(0o755)
    shutil.chown(program, "nobody")
    with pytest.raises(SetupError, match="Other users may change"):
        refuse_to_run_what_others_wrote(program)


def test_redis_is_not_run_from_a_cache_that_others_may_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    folder = cache / "redis-stack"
    folder.mkdir(parents=True)
    for name in ("redis-server", *redis_conf.MODULES):
        (folder / name).touch(0o755)
    monkeypatch.setattr(redis_conf, "STACK", tmp_path / "none")
    monkeypatch.setattr(redis_conf, "PACKAGED_MODULES", tmp_path / "none")
    monkeypatch.setattr(redis_conf.Catalogue, "path", lambda self, name: folder)
    settings = Settings(home=tmp_path, cache=cache)
    assert redis_conf.find_server(settings).binary == folder / "redis-server"
    cache.chmod(0o777)
    with pytest.raises(SetupError, match="Other users may change"):
        redis_conf.find_server(settings)
