"""What each room says of itself in its folder's ``manifest.yaml``; the platform learns it here.

`deployments/<room>/` are the rooms that come along. An owner's own are folders like them, beside
them or in `AUTOBOT_HOME/rooms/`. One of the latter whose manifest is wrong is left out, and the
others go on without it.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from autobot.errors import SetupError
from autobot.settings import Port, Settings, default_home, port_setting

FILE = "manifest.yaml"
DEPLOYMENTS = Path(__file__).resolve().parents[1] / "deployments"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")]
Path_ = Annotated[str, Field(pattern=r"^/[\x21-\x7e]*$", max_length=200)]
Dialect = Literal["problem", "openai", "ollama", "kserve"]
PLATFORM_SCOPES = ("admin", "read", "automation", "secret")
RESERVED = {*PLATFORM_SCOPES, "operator", "default"}
"""Scopes of the platform, and users that Redis has besides the rooms'."""
Program = Literal["redis", "desktop-x", "desktop-wm", "desktop-web", "ollama"]
Secret = Literal[
    "desktop_password",
    "cli_key",
    "sealing_key",
    "redis/operator",
    "redis/users.acl",
    "seed_keys.json",
]


PORTS: Mapping[str, int] = {
    name: field.default for name, field in Settings.model_fields.items() if name.endswith("_port")
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Application(_Part):
    """One Serve application of one deployment. ``share`` of the room's custom resource pins a
    replica to a VM of the room; below 0.5, so that the next replica fits beside it. ``replicas`` is
    for a room that is not spread over its VMs. ``tools`` says that it serves the contract `Tools`.
    """

    name: Name
    import_path: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    deployment: str = Field(pattern=r"^[A-Za-z_]\w*$")
    route_prefix: Path_ | None = None
    errors: Dialect = "problem"
    max_ongoing_requests: int = Field(default=128, ge=1, le=10_000)
    share: float = Field(default=0.2, gt=0, lt=0.5)
    replicas: int = Field(default=1, ge=1, le=100)
    tools: bool = False


class Public(_Part):
    """Paths that GET and HEAD read without an API key: these, and all that begin with ``below``.

    POST needs none on what begins with ``signed_below``: what is sent there is signed, which the
    route itself checks.
    """

    paths: tuple[Path_, ...] = ()
    below: Path_ | None = None
    signed_below: Path_ | None = None


class Redis(_Part):
    """The room's user in Redis sees its ``own`` keys or ``all``; its VM may connect or not."""

    keys: Literal["own", "all"] = "own"
    connects: bool = True


class Manifest(_Part):
    """A room.

    ``position`` orders the rooms wherever they are listed. ``port`` is its own port, which
    ``AUTOBOT_<ROOM>_PORT`` changes for the rooms that come along; without one only the ingress
    serves it. ``optional``: a cluster may do without it. ``vms: one``: a second VM would be a
    second truth. ``spread``: of several VMs each has a replica of each application. ``programs``
    run beside Ray on its VM, ``secrets`` are files that its VM may hold besides Redis' password,
    ``fetches`` is what its VM needs of the catalogue: the default of a kind, or a part by name.
    ``user`` is who Ray runs as there, if not the owner. ``reserved`` are paths of the ingress that
    it serves without a prefix of its own, and that no other room may take. ``tool_names`` are what
    the names of its tools may begin with besides ``room``: no other room has one of these.
    """

    room: Name
    position: int = 1000
    optional: bool = False
    port: Port | None = None
    reached_from: Literal["admins", "clients"] = "admins"
    vms: Literal["one", "any"] = "any"
    spread: bool = False
    scopes: tuple[Annotated[str, Field(pattern=r"^[a-z][a-z0-9:-]{0,60}$")], ...] = ()
    tool_names: tuple[Name, ...] = ()
    applications: tuple[Application, ...] = Field(min_length=1)
    public: Public = Public()
    reserved: tuple[Path_, ...] = ()
    redis: Redis | None = None
    programs: tuple[Program, ...] = ()
    secrets: tuple[Secret, ...] = ()
    fetches: str | None = None
    user: str | None = None

    @model_validator(mode="after")
    def _name_and_port_are_free(self) -> "Manifest":
        if self.room in RESERVED:
            raise ValueError(f"'{self.room}' means something else")
        own = port_setting(self.room)
        if own in PORTS and self.port != PORTS[own]:
            raise ValueError(f"'{self.room}' means something else: see the setting {own}")
        taken = [name for name, port in PORTS.items() if port == self.port and name != own]
        if taken:
            raise ValueError(f"port {self.port} is the default of the setting {taken[0]}")
        return self

    @model_validator(mode="after")
    def _scopes_are_its_own(self) -> "Manifest":
        for scope in self.scopes:
            if scope.partition(":")[0] != self.room:
                raise ValueError(f"scope '{scope}' does not begin with the room's name")
        return self


class Rooms(Mapping[str, Manifest]):
    """The manifests by room, in the order of their positions; ``folder`` has a room's code."""

    def __init__(
        self, found: Mapping[Path, Manifest], wrong: Mapping[Path, SetupError] | None = None
    ) -> None:
        """``wrong`` is what is wrong with own rooms that are left out, by their folders."""
        listed = sorted(found.items(), key=lambda item: (item[1].position, item[1].room))
        self._manifests = {manifest.room: manifest for _, manifest in listed}
        self._folders = {manifest.room: folder for folder, manifest in listed}
        self.left_out = {
            str(folder) if folder.name in self._manifests else folder.name: error
            for folder, error in (wrong or {}).items()
        }
        """By the room's name, or by its folder where another room has that name."""
        self._rooms = {
            application.name: manifest.room
            for manifest in self._manifests.values()
            for application in manifest.applications
        }
        prefixes = {
            f"{application.route_prefix.rstrip('/')}/": application
            for application in self.applications.values()
            if application.route_prefix
        }
        self._longest_first = sorted(prefixes.items(), key=lambda item: -len(item[0]))

    def __getitem__(self, room: str) -> Manifest:
        return self._manifests[room]

    def __iter__(self) -> Iterator[str]:
        return iter(self._manifests)

    def __len__(self) -> int:
        return len(self._manifests)

    def require_all(self) -> None:
        """Raise SetupError when a room is left out: who changes the platform would end it."""
        if self.left_out:
            raise SetupError("\n".join(map(str, self.left_out.values())))

    def folder(self, room: str) -> Path:
        """Return where the room's manifest and code are. Raises KeyError for an unknown room."""
        return self._folders[room]

    def room_of(self, application: str) -> str:
        """Return the room that has ``application``. Raises KeyError when none has."""
        return self._rooms[application]

    def tool_names(self, application: str) -> tuple[str, ...]:
        """Return what the names of the application's tools begin with, before the first dot.

        Raises KeyError for an unknown application.
        """
        return _tool_names(self[self.room_of(application)])

    def port(self, room: str, settings: Settings) -> int | None:
        """Return the room's own port: its setting's, else its manifest's; None when it has none."""
        return settings.room_port(room) or self[room].port

    @property
    def digest(self) -> str:
        """Of all manifests: each room's replicas know every room."""
        manifests = [manifest.model_dump_json() for manifest in self.values()]
        return hashlib.sha256("\n".join(manifests).encode()).hexdigest()[:16]

    @property
    def applications(self) -> dict[str, Application]:
        """The applications of all rooms by name, in the order of the rooms."""
        return {each.name: each for room in self.values() for each in room.applications}

    @property
    def scopes(self) -> tuple[str, ...]:
        """What an API key may be allowed."""
        return (*PLATFORM_SCOPES, *(scope for room in self.values() for scope in room.scopes))

    def dialect(self, path: str) -> Dialect:
        """How errors are told at ``path``, as its application's clients know them."""
        application = self._at(path)
        return application.errors if application else "problem"

    def room_at(self, path: str) -> str | None:
        """Return the room that the ingress gives ``path`` to; None when no room has it."""
        application = self._at(path)
        return self.room_of(application.name) if application else None

    def serves(self, path: str) -> bool:
        """Whether ``path`` lies below an application's own prefix, which is not all there is."""
        application = self._at(path)
        return application is not None and application.route_prefix != "/"

    def _at(self, path: str) -> Application | None:
        below = f"{path}/"
        matching = (at for prefix, at in self._longest_first if below.startswith(prefix))
        return next(matching, None)


def rooms(deployments: Path = DEPLOYMENTS) -> Rooms:
    """Every room there is: those of ``deployments`` and the owner's in `AUTOBOT_HOME/rooms`."""
    return load(deployments, default_home() / "rooms")


@cache
def load(deployments: Path, own: Path | None = None) -> Rooms:
    """Read the manifests of all rooms. SetupError says what is wrong with one of ``deployments``.

    One of ``own`` with which something is wrong is left out instead: a slip in it must not keep
    the replicas of every other room from starting.
    """
    found: dict[Path, Manifest] = {}
    for file in sorted(deployments.glob(f"*/{FILE}")):
        _add(found, file)
    along, wrong = list(found), dict[Path, SetupError]()
    for file in sorted(own.glob(f"*/{FILE}")) if own else ():
        try:
            _add(found, file, along)
        except SetupError as error:
            wrong[file.parent] = error
    return Rooms(found, wrong)


def _add(found: dict[Path, Manifest], file: Path, along: Iterable[Path] = ()) -> None:
    """Read one manifest into ``found``; SetupError when it takes what another room has.

    An own room may have no path below those of the rooms that come ``along``.
    """
    together = {**found, (folder := file.parent): (manifest := _read(file))}
    _refuse_twice(together, "room", lambda manifest: [manifest.room])
    _refuse_twice(together, "application", lambda m: [each.name for each in m.applications])
    _refuse_twice(together, "port", lambda m: [str(m.port)] if m.port else [])
    _refuse_twice(together, "route prefix", _prefixes)
    _refuse_twice(together, "name of tools", _tool_names)
    for other, known in found.items():
        taken = (*known.reserved, *(_prefixes(known) if other in along else ()))
        _refuse_below(manifest, known, taken, folder)
        _refuse_below(known, manifest, manifest.reserved, folder)
    found[folder] = manifest


def _tool_names(manifest: Manifest) -> tuple[str, ...]:
    return (manifest.room, *manifest.tool_names)


def _prefixes(manifest: Manifest) -> list[str]:
    return [each.route_prefix for each in manifest.applications if each.route_prefix]


def _refuse_below(manifest: Manifest, other: Manifest, taken: Iterable[str], folder: Path) -> None:
    """Paths below ``taken`` are the ``other`` room's, and those above would take them: the ingress
    gives a path to the longest prefix that fits. `/` is above all, and everybody may be below it.
    """
    for prefix in _prefixes(manifest):
        for path in taken:
            ours, theirs = (f"{each.rstrip('/')}/" for each in (prefix, path))
            if "/" not in (ours, theirs) and (ours.startswith(theirs) or theirs.startswith(ours)):
                raise SetupError(
                    f"The route prefix '{prefix}' of room '{manifest.room}' takes paths of room "
                    f"'{other.room}', which has '{path}'.",
                    f"Correct {folder / FILE}.",
                )


def _read(file: Path) -> Manifest:
    remedy = f"Correct {file}."
    try:
        manifest = Manifest.model_validate(yaml.safe_load(file.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "manifest"
        raise SetupError(f"{where}: {first['msg']}.", remedy) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SetupError(f"{file} cannot be read: {error}", remedy) from error
    if manifest.room != file.parent.name:
        raise SetupError(f"room: '{manifest.room}' is not its folder's name.", remedy)
    return manifest


def _refuse_twice(
    found: Mapping[Path, Manifest], what: str, names: Callable[[Manifest], Iterable[str]]
) -> None:
    owner: dict[str, Path] = {}
    for folder, manifest in found.items():
        for name in names(manifest):
            if name in owner:
                raise SetupError(
                    f"The {what} '{name}' is declared twice.",
                    f"Correct {owner[name] / FILE} or {folder / FILE}.",
                )
            owner[name] = folder
