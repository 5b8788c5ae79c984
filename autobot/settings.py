"""One frozen Settings object, built at an entry point and passed down.

Order of precedence: ``AUTOBOT_*`` in the environment, then ``AUTOBOT_HOME/autobot.toml``, then the
defaults here. Replicas see the same values: a Ray worker inherits the environment of its node, and
what an environment cannot carry (secrets, lists) is in the file that AUTOBOT_SETTINGS_FILE names.
"""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

Port = Annotated[int, Field(ge=1, le=65535)]
SHARED_CACHE = Path("/var/cache/autobot")


def default_cache() -> Path:
    """The machine-wide package cache when an owner made one, else the user's own."""
    if SHARED_CACHE.is_dir():
        return SHARED_CACHE
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autobot"


def default_home() -> Path:
    """Return AUTOBOT_HOME, else ``~/.autobot``. It may not exist yet."""
    return Path(os.environ.get("AUTOBOT_HOME") or Path.home() / ".autobot").expanduser()


def port_setting(room: str) -> str:
    """The name of the setting that has a room's own port, where it has one."""
    return "http_port" if room == "main" else f"{room}_port"


class Settings(BaseSettings):
    """Where things are and which ports they use. Ports are TCP; sizes are bytes; times seconds."""

    model_config = SettingsConfigDict(env_prefix="AUTOBOT_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=default_home, description="All state of this platform.")
    cache: Path = Field(
        default_factory=default_cache, description="Downloads and models, shared by platforms."
    )
    bind: str = Field(default="127.0.0.1", description="Address the public ports listen on.")
    node_ip: str = Field(default="127.0.0.1", description="This node's address inside the cluster.")
    api_key: SecretStr | None = Field(
        default=None,
        description="Becomes the first key at the first start; the command line asks with it.",
    )
    public_api: str | None = Field(
        default=None, description="URL of the ingress for the web interface in a browser."
    )

    http_port: Port = Field(default=8001, description="HTTP ingress (room main).")
    desktop_port: Port = Field(default=6080, description="Desktop in the browser (room main).")
    frontend_port: Port = Field(default=5173, description="Web interface.")
    npu_port: Port = Field(default=8081, description="Room npu's own port.")
    redis_port: Port = Field(default=6379, description="Redis Stack.")
    llm_port: Port = Field(default=8080, description="Room llm's own port.")
    browser_port: Port = Field(default=3000, description="Room browser's own port.")

    gcs_port: Port = Field(default=6380, description="Ray's global control store.")
    dashboard_port: Port = Field(default=8265, description="Ray dashboard, loopback only.")
    dashboard_agent_port: Port = Field(default=52365, description="Ray dashboard agent, HTTP.")
    dashboard_agent_grpc_port: Port = Field(default=52366, description="Ray dashboard agent, gRPC.")
    runtime_env_agent_port: Port = Field(
        default=52367, description="Ray runtime environment agent."
    )
    ray_client_port: Port = Field(default=10001, description="Ray client server (head).")
    node_manager_port: Port = Field(default=52370, description="Raylet.")
    object_manager_port: Port = Field(default=52371, description="Ray object transfer.")
    metrics_port: Port = Field(default=52372, description="Ray's Prometheus endpoint on each node.")
    min_worker_port: Port = Field(default=20000, description="Lowest port of Ray's workers.")
    max_worker_port: Port = Field(default=20999, description="Highest port of Ray's workers.")
    haproxy_stats_port: Port = Field(default=8404, description="HAProxy statistics.")
    haproxy_metrics_port: Port = Field(default=9101, description="HAProxy metrics.")
    dashboard_metrics_port: Port = Field(
        default=44227, description="Metrics of Ray's dashboard (head)."
    )
    autoscaler_metrics_port: Port = Field(
        default=44217, description="Metrics of the autoscaler (head)."
    )
    fallback_proxy_port: Port = Field(
        default=8500, description="Serve's proxy behind HAProxy, loopback."
    )
    replica_min_port: Port = Field(
        default=30000, description="Lowest direct ingress port of replicas."
    )
    replica_max_port: Port = Field(
        default=31000, description="Highest direct ingress port of replicas."
    )
    desktop_display: int = Field(default=20, ge=1, le=999, description="X display of the desktop.")

    default_chat_model: str | None = Field(default=None, description="Chat model called `default`.")
    default_embedding_model: str | None = Field(
        default=None, description="Embedding model called `default`."
    )
    ollama_url: str = Field(
        default="http://127.0.0.1:11434", description="Ollama server of room llm."
    )
    llm_keep_alive_s: float = Field(
        default=300,
        description="Seconds an idle chat model stays in memory, the default one stays for ever; "
        "negative: all stay.",
    )
    chat_fallbacks: dict[str, list[str]] = Field(
        default_factory=dict[str, list[str]],
        description="Model -> the places where it may run, in order, each `engine/model`.",
    )
    external_chat_url: str | None = Field(
        default=None,
        description="Base URL of an OpenAI-compatible server, which engine `external` asks.",
    )
    external_chat_key: SecretStr | None = Field(
        default=None, description="API key for that server."
    )
    external_chat_concurrency: int = Field(
        default=128, ge=1, le=4096, description="Most chats that server is asked for at once."
    )
    npu_device: str = Field(default="AUTO:NPU,CPU", description="OpenVINO device to ask for.")
    chromium: Path | None = Field(
        default=None, description="Chromium's program; found when not given."
    )
    browser_allow: str = Field(
        default="",
        description="Private addresses that pages may visit: `host:port`, separated by commas.",
    )
    egress_allow: str = Field(
        default="",
        description="Private addresses that steps `http.*` and `notify` may reach: `host` or "
        "`host:port`, separated by commas.",
    )
    browser_no_sandbox: bool = Field(default=False, description="Run Chromium without its sandbox.")
    browser_concurrency: int = Field(default=4, ge=1, le=64, description="Pages rendered at once.")
    browser_sessions: int = Field(default=64, ge=1, le=512, description="Most browser sessions.")
    browser_memory_mib: int | None = Field(
        default=None, ge=256, description="MiB of memory for all browser sessions together."
    )
    max_body_bytes: int = Field(
        default=32 << 20, ge=1 << 10, description="Bytes of the largest request body."
    )
    probe_deadline_s: float = Field(
        default=0.8, gt=0, le=10, description="Seconds a probe of a room's health may take."
    )

    @property
    def run_dir(self) -> Path:
        """What lives as long as a run: sockets, pid files, rendered configurations, Ray's files."""
        return self.home / "run"

    @property
    def log_dir(self) -> Path:
        """The logs of this machine's programs; Serve's own are in Ray's session in `run_dir`."""
        return self.home / "logs"

    @property
    def data_dir(self) -> Path:
        """What must not be lost: Redis keeps its files in ``redis/`` below it."""
        return self.home / "data"

    @property
    def secrets_dir(self) -> Path:
        """The secrets of this machine; `autobot.platform.secrets` lists the files."""
        return self.home / "secrets"

    @property
    def models_dir(self) -> Path:
        """The folder of all models; it is in the cache, which platforms of this machine share."""
        return self.cache / "models"

    @property
    def api_url(self) -> str:
        """The ingress of this machine; on loopback when it listens on ``0.0.0.0``."""
        host = "127.0.0.1" if self.bind == "0.0.0.0" else self.bind
        return f"http://{host}:{self.http_port}"

    def room_port(self, room: str) -> int | None:
        """The own port of a room that comes along; None of another."""
        return getattr(self, port_setting(room), None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in the order of the module; the first that names a setting counts.

        The file of AUTOBOT_SETTINGS_FILE comes before ``autobot.toml`` and only where it is named.
        """
        file = TomlConfigSettingsSource(settings_cls, toml_file=default_home() / "autobot.toml")
        handed_on = os.environ.get("AUTOBOT_SETTINGS_FILE")
        if handed_on is None:
            return init_settings, env_settings, file
        told = JsonConfigSettingsSource(settings_cls, json_file=handed_on)
        return init_settings, env_settings, told, file
