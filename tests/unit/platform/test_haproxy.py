"""On one machine HAProxy listens where AUTOBOT_BIND says, and shows statistics on loopback only."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ray.serve._private.haproxy import HAProxyApi, HAProxyConfig
from ray.serve.config import HTTPOptions, gRPCOptions

from autobot.platform.haproxy import host_of, mended, wrapper_script
from autobot.platform.programs import alone, prepare_programs, ray_node
from autobot.platform.ray_env import prepare_run_dir, ray_env
from autobot.settings import Settings

BIND = re.compile(r"^\s*bind (\S+)", re.MULTILINE)


def rays_config(host: str, folder: Path) -> str:
    """What the installed Ray writes when it starts HAProxy."""
    config = HAProxyConfig(
        http_options=HTTPOptions(host=host, port=8001),
        grpc_options=gRPCOptions(),
        is_head=True,
        socket_path=str(folder / "a"),
        server_state_base=str(folder),
        server_state_file=str(folder / "server-state"),
        metrics_socket_path=str(folder / "m"),
        log_target=str(folder / "l"),
    )
    file = folder / "rays.cfg"
    HAProxyApi(config, config_file_path=str(file))._generate_config_file_internal()  # pyright: ignore[reportPrivateUsage]
    return file.read_text()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "192.168.1.5"])
def test_statistics_and_metrics_are_on_loopback_and_the_ingress_where_it_was(
    host: str, tmp_path: Path
) -> None:
    before = rays_config(host, tmp_path)
    ingress = "*:8001" if host == "0.0.0.0" else f"{host}:8001"
    assert BIND.findall(before) == [":9101", ingress, "*:8404"], "Ray's template changed"
    assert f"stats socket {tmp_path}/a mode 666 " in before, "Ray's template changed"
    after = mended(before, host)
    assert BIND.findall(after) == ["127.0.0.1:9101", ingress, "127.0.0.1:8404"]
    assert f"stats socket {tmp_path}/a mode 600 level admin" in after
    assert mended(after, host) == after
    assert "timeout http-request" not in before, "Ray's template changed"
    waits = "    timeout http-request 20s\n"
    assert f"defaults\n    mode http\n{waits}" in after
    rest = after.replace(waits, "").split("\n")
    assert sum(a != b for a, b in zip(before.split("\n"), rest, strict=True)) == 3


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("bind *:8404", "bind *:8404\n  bind *:8405"),
        ("bind *:8404", "bind *:8404-8500"),
        ("bind *:8404", "bind *:8404 proto h2"),
        ("listen stats", "listen statistics"),
        ("frontend prometheus", "frontend other\n    bind :7000\nfrontend prometheus"),
        ("bind 127.0.0.1:8001", "bind *:8001"),
        ("mode 666 ", ""),
    ],
)
def test_a_configuration_of_another_shape_is_refused(
    found: str, instead: str, tmp_path: Path
) -> None:
    config = rays_config("127.0.0.1", tmp_path)
    assert found in config
    with pytest.raises(ValueError, match=r"not 2|listener|one admin socket"):
        mended(config.replace(found, instead), "127.0.0.1")


def test_an_address_is_what_stands_before_the_port() -> None:
    assert [host_of(b) for b in ("*:80", ":80", "127.0.0.1:80 proto h2")] == ["*", "", "127.0.0.1"]


def test_rays_haproxy_is_started_with_the_mended_file_and_keeps_its_process_id(
    tmp_path: Path,
) -> None:
    file, wrapper = tmp_path / "haproxy.cfg", tmp_path / "hap roxy"
    file.write_text(rays_config("127.0.0.1", tmp_path))
    write_wrapper(wrapper)
    done = subprocess.run([wrapper, "-c", "-f", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "127.0.0.1:8404" in file.read_text()
    assert [path.name for path in tmp_path.glob("haproxy.cfg*")] == ["haproxy.cfg"]
    # The last word of the wrapper is what it becomes; a shell tells its own id.
    shell = wrapper.read_text().replace(_binary(wrapper), "/bin/sh")
    wrapper.write_text(shell)
    process = subprocess.Popen(
        [wrapper, "-c", "echo $$", "-f", file], stdout=subprocess.PIPE, text=True
    )
    said, _ = process.communicate(timeout=30)
    assert said.split() == [str(process.pid)]


def write_wrapper(wrapper: Path) -> None:
    wrapper.write_text(wrapper_script("127.0.0.1"))
    wrapper.chmod(0o700)


def _binary(wrapper: Path) -> str:
    found = re.search(r"\S+/haproxy(?= 127)", wrapper.read_text())
    assert found
    return found[0]


def test_what_cannot_be_mended_starts_nothing_and_says_so(tmp_path: Path) -> None:
    file, wrapper = tmp_path / "haproxy.cfg", tmp_path / "haproxy"
    file.write_text("listen stats\n  bind *:1\n")
    write_wrapper(wrapper)
    done = subprocess.run([wrapper, "-db", "-f", file], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "not as AutoBot knows it" in done.stderr
    assert file.read_text() == "listen stats\n  bind *:1\n"


def test_no_url_goes_to_a_log_that_others_read(tmp_path: Path) -> None:
    """A path: what is sent there never leaves the machine, and only the owner can listen there."""
    settings = Settings(home=tmp_path / "h")
    prepare_run_dir(settings)
    target = ray_env(settings)["RAY_SERVE_HAPROXY_LOG_TARGET"]
    folder = Path(target).parent
    assert folder.is_absolute()
    assert stat.S_IMODE(folder.resolve().stat().st_mode) == 0o700
    assert not Path(target).exists()


def test_one_machine_starts_haproxy_by_the_wrapper_and_its_ray_node_stays_on_loopback(
    tmp_path: Path,
) -> None:
    settings = Settings(home=tmp_path / "h")
    prepare_run_dir(settings)
    node = alone(ray_node(settings, head=True, resources={}, node_ip=settings.node_ip), settings)
    prepare_programs([node])
    wrapper = Path(node.env["RAY_SERVE_HAPROXY_BINARY_PATH"])
    assert stat.S_IMODE(wrapper.stat().st_mode) == 0o700
    assert "--node-ip-address=127.0.0.1" in node.argv
    ask = "import ray._private.services as s; print(s.resolve_ip_for_localhost('127.0.0.1'))"
    said = subprocess.run(
        [sys.executable, "-c", ask],
        env={**os.environ, **node.env},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["127.0.0.1"], "Ray replaces 127.0.0.1 again"
