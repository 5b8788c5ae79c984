"""What supervisord is told, and where the logs of a room are."""

from pathlib import Path

import pytest
import yaml

from autobot.local.supervisor import log_files
from autobot.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A platform with an own room whose name begins with another room's."""
    monkeypatch.setenv("AUTOBOT_HOME", str(tmp_path))
    application = {"name": "npu2", "import_path": "npu2.app:app", "deployment": "Npu2"}
    (tmp_path / "rooms" / "npu2").mkdir(parents=True)
    manifest = {"room": "npu2", "applications": [application]}
    (tmp_path / "rooms" / "npu2" / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return Settings(home=tmp_path)


def test_a_rooms_logs_are_its_programs_and_its_own_applications(settings: Settings) -> None:
    logs = settings.run_dir / "ray" / "session_latest" / "logs" / "serve"
    for folder, names in {
        logs: ("npu_Npu_a1", "npu-ocr_NpuOcr_b2", "npu2_Npu2_c3", "main_Main_d4"),
        settings.log_dir: ("ray", "desktop-x"),
    }.items():
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{'replica_' if folder == logs else ''}{name}.log").touch()

    def names_of(room: str) -> set[str]:
        return {file.stem for file in log_files(settings, room)}

    assert names_of("npu") == {"replica_npu_Npu_a1", "replica_npu-ocr_NpuOcr_b2"}
    assert names_of("npu2") == {"replica_npu2_Npu2_c3"}
    assert names_of("main") == {"ray", "desktop-x", "replica_main_Main_d4"}
    assert names_of("browser") == set()
