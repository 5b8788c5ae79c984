"""systemd units of a VM, rendered from the same programs that supervisord runs on one machine."""

import re
from collections.abc import Mapping

from autobot.platform.programs import Program

PYTHON = "/opt/autobot/venv/bin/python"
ENV_FILE = "/etc/autobot/node.env"
FIREWALL_FILE = "/etc/autobot/firewall.nft"
PREFIX = "autobot-"

UNIT = """\
# Written by AutoBot; changes made here are lost.
[Unit]
Description=AutoBot {name}
Wants=network-online.target
After=network-online.target autobot-firewall.service
StartLimitIntervalSec=0
{conditions}
[Service]
User={user}
UMask=0077
LimitNOFILE=65536
EnvironmentFile={env_file}
{environment}ExecStartPre={python} -m autobot.cluster.node prepare
ExecStart={command}
Restart=always
RestartSec=1
{delegate}KillMode=control-group
KillSignal=SIG{stop_signal}
TimeoutStopSec=20

[Install]
WantedBy=multi-user.target
"""

FIREWALL_UNIT = f"""\
# Written by AutoBot; changes made here are lost.
[Unit]
Description=AutoBot firewall
Wants=network-pre.target
Before=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft -f {FIREWALL_FILE}
ExecReload=/usr/sbin/nft -f {FIREWALL_FILE}
ExecStop=/usr/sbin/nft delete table inet autobot

[Install]
WantedBy=multi-user.target
"""


def render_unit(program: Program, user: str) -> str:
    """Return the unit that keeps ``program`` running; the node's environment comes from a file."""
    environment = "".join(
        f"Environment={quoted(f'{name}={value}')}\n" for name, value in sorted(program.env.items())
    )
    return UNIT.format(
        name=program.name,
        user=program.user or user,
        env_file=ENV_FILE,
        environment=environment,
        conditions=_conditions(program),
        # Room browser's node, the one that runs as root, makes control groups for Chromium in it.
        delegate="Delegate=yes\n" if program.user == "root" else "",
        stop_signal=program.stop_signal,
        python=PYTHON,
        command=" ".join(quoted(word.replace("$", "$$")) for word in program.argv),
    )


def _conditions(program: Program) -> str:
    """What must hold at each start; where it does not, the unit is skipped and has not failed."""
    if program.unless is None:
        return ""
    return f"ConditionFileIsExecutable={program.argv[0]}\nConditionPathExists=!{program.unless}\n"


def quoted(word: str) -> str:
    """Quote for a unit file, where % and \\ are special even inside quotes."""
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return text if re.fullmatch(r"[\w@:/.,=+-]+", text) else f'"{text}"'


def render_env(environment: Mapping[str, str]) -> str:
    """Return an environment file that both systemd and a shell read alike."""
    lines: list[str] = []
    for name, value in sorted(environment.items()):
        escaped = re.sub(r'(["\\$`])', r"\\\1", value)
        lines.append(f'{name}="{escaped}"\n')
    return "".join(lines)
