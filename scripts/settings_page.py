"""Write docs/settings.md: every setting with its variable, default, bounds and meaning.

Run it as ``python scripts/settings_page.py`` after a change of `autobot.settings`; a unit test
fails while the page is another one.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from autobot.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.md"
MIB = 1 << 20

DESCRIBED: Mapping[str, str] = {
    "home": "`~/.autobot`",
    "cache": "`/var/cache/autobot` where that exists, else `~/.cache/autobot`",
    "api_key": "a key is made and shown once",
    "public_api": "the ingress, by the name under which the browser reached the page",
    "default_chat_model": "[by memory](models.md#which-one-is-default)",
    "default_embedding_model": "[by memory](models.md#which-one-is-default)",
    "chat_fallbacks": "none",
    "external_chat_url": "none: the engine is off",
    "chromium": "Debian's, else Playwright's own",
    "browser_allow": "none",
    "egress_allow": "none",
    "browser_memory_mib": "half of the machine's",
}
"""Defaults that depend on the machine, or that a bare value does not explain."""

KINDS: Mapping[type, str] = {
    bool: "`1` or `0`",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    SecretStr: "secret text",
    dict: "table",
}

BEFORE = """\
# Settings

`python scripts/settings_page.py` writes this page from `autobot/settings.py`. A change made here is
lost.

Everything has a default. The first of these that names a setting decides:

1. the variable `AUTOBOT_<NAME>` in the environment,
2. `<name>` in the file `autobot.toml` in `AUTOBOT_HOME`,
3. the default.

A table is JSON in a variable, and a table in `autobot.toml`. A value out of bounds is refused with
the name of its setting. A name that is no setting is ignored.

On six VMs `cluster.yaml` decides over the addresses and the rooms' own ports, and each VM's set-up
(`autobot/cluster/node.py`) over `home`, `bind` and `node_ip`. Each VM reads its own
`~/.autobot/autobot.toml`. `autobot up` on one machine, and `ray up` on six VMs, bring a change to
what is running.
"""

PORTS = """\
## Ports

Each is a TCP port from 1 to 65535. With another `AUTOBOT_HOME` and other ports, a second platform
runs beside the first.
"""

AFTER = """\
## Variables that are not settings

| variable | meaning |
|---|---|
| `AUTOBOT_CLUSTER_FILE` | the `cluster.yaml` to read; else that of `AUTOBOT_HOME` or the checkout |
| `AUTOBOT_URL` | the platform that the command line asks, instead of this machine's |
| `AUTOBOT_PYTHON` | the Python that `scripts/setup.sh` uses |
| `AUTOBOT_LAB_NAME` | the lab that `autobot lab` is about; `lab` when not given |
| `AUTOBOT_LAB_ATTACH` | a running lab that the tests use and leave running |
| `AUTOBOT_REQUIRE_LAB` | `1`: a lab that cannot boot fails the tests instead of skipping them |
"""


def page() -> str:
    """The whole page. No default is evaluated: it is the same on every machine."""
    fields = Settings.model_fields
    ports = {name: field for name, field in fields.items() if name.endswith("_port")}
    others = {name: field for name, field in fields.items() if name not in ports}
    all_of_others = [
        (_variable(name), _kind(field), _default(name, field), _bounds(field), _meaning(field))
        for name, field in others.items()
    ]
    of_ports = [
        (_variable(name), _default(name, field), _meaning(field)) for name, field in ports.items()
    ]
    parts = [
        BEFORE,
        _table(("variable", "kind", "default", "bounds", "meaning"), all_of_others),
        PORTS,
        _table(("variable", "default", "meaning"), of_ports),
        AFTER,
    ]
    return "\n".join(parts)


def _variable(name: str) -> str:
    return f"`AUTOBOT_{name.upper()}`"


def _kind(field: FieldInfo) -> str:
    """The words for ``str`` of ``str | None``, for ``dict`` of ``dict[...]``, else as it is."""
    kind: Any = field.annotation
    if isinstance(kind, UnionType):
        kind = next(one for one in get_args(kind) if one is not NoneType)
    return KINDS[get_origin(kind) or kind]


def _default(name: str, field: FieldInfo) -> str:
    if name in DESCRIBED:
        return DESCRIBED[name]
    if field.default_factory is not None:
        raise LookupError(f"The default of '{name}' is computed: describe it in DESCRIBED.")
    value = field.default
    if value is None:
        return "none"
    if isinstance(value, bool):
        return f"`{int(value)}`"
    if isinstance(value, int) and value >= MIB and value % MIB == 0:
        return f"`{value}` ({value // MIB} MiB)"
    return f"`{value}`"


def _bounds(field: FieldInfo) -> str:
    least = most = ""
    for bound in field.metadata:
        match bound:
            case Ge(ge=value):
                least = f"at least {value}"
            case Gt(gt=value):
                least = f"more than {value}"
            case Le(le=value):
                most = f"at most {value}"
            case Lt(lt=value):
                most = f"less than {value}"
            case _:
                raise LookupError(f"The bound {bound!r} has no words here yet.")
    return ", ".join(filter(None, (least, most)))


def _meaning(field: FieldInfo) -> str:
    return str(field.description).removesuffix(".").replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
