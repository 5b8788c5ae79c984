"""Folders for sockets and secrets are ours alone, whoever was there first."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from autobot.cluster.secrets import ensure_secrets
from autobot.errors import SetupError
from autobot.private import is_shared, private_folder


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
