#!/usr/bin/env bash
# Install what one machine needs; `setup.sh lab` adds what the six-VM lab needs. Does nothing twice.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=.venv
ROOM_PACKAGES=(chromium bubblewrap fonts-dejavu-core tigervnc-standalone-server tigervnc-tools novnc websockify openbox xterm)
LAB_PACKAGES=(systemd systemd-sysv systemd-container dbus openssh-server openssh-client iproute2 nftables rsync sudo espeak-ng)

fail() { printf 'error: %s\nremedy: %s\n' "$1" "$2" >&2; exit 1; }
say() { printf '%s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; return; fi
    command -v sudo >/dev/null || fail "Debian packages are missing and there is no sudo." "Run as root once: $*"
    sudo "$@"
}

install_debian_packages() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || fail "This is not a Debian system." "Install by hand: ${missing[*]}"
    say "installing ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq ||
        fail "The Debian package archive is not reachable." "Check the network, then run this again."
    # No service of these packages may start here: the platform runs its own.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
        fail "apt-get could not install ${missing[*]}." "See its words above."
}

find_python() {
    for candidate in python3.11 python3; do
        if command -v "$candidate" >/dev/null && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
            command -v "$candidate"; return
        fi
    done
    fail "Python 3.11 is not installed." "apt-get install python3.11 python3.11-venv"
}

make_venv() {
    [ -x $VENV/bin/uv ] && return
    local python; python=$(find_python)
    "$python" -c 'import ensurepip' 2>/dev/null || install_debian_packages python3-venv
    say "making $VENV"
    "$python" -m venv $VENV
    # The lock pins uv itself, with its hash.
    awk '/^uv==/{on=1} on{print} on && !/\\$/{exit}' locks/dev.txt > $VENV/uv.txt
    $VENV/bin/python -m pip install --quiet --require-hashes -r $VENV/uv.txt ||
        fail "The Python package index is not reachable." "Check the network, then run this again."
}

install_python_packages() {
    local wanted; wanted=$(cat locks/*.txt pyproject.toml | sha256sum)
    [ "$(cat $VENV/.locks 2>/dev/null)" = "$wanted" ] && return
    say "installing Python packages (about 1.3 GB the first time)"
    local files=(); for lock in locks/*.txt; do [ -s "$lock" ] && files+=("$lock"); done
    # Compiled once: every Python process of the platform then starts in half the time, and where
    # PYTHONDONTWRITEBYTECODE is set (in many containers) nobody else would ever do it.
    $VENV/bin/uv pip sync --python $VENV/bin/python --compile-bytecode --require-hashes "${files[@]}" ||
        fail "uv could not install the locked packages." "See its words above; a cached run needs no network."
    $VENV/bin/uv pip install --quiet --python $VENV/bin/python --no-deps --no-build-isolation --editable .
    echo "$wanted" > $VENV/.locks
}

check_node() {
    command -v node >/dev/null || fail "Node is not installed." "Install Node 20 or newer."
    local major; major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
    [ "$major" -ge 20 ] || fail "Node $(node --version) is too old." "Install Node 20 or newer."
}

make_browser_user() {
    # As root, Chromium runs as a user of its own, with its sandbox on.
    [ "$(id -u)" = 0 ] || return 0
    id autobot-browser >/dev/null 2>&1 || useradd --system --create-home --shell /usr/sbin/nologin autobot-browser
}

make_venv
install_python_packages
case "${1:-}" in
    lab) install_debian_packages "${ROOM_PACKAGES[@]}" "${LAB_PACKAGES[@]}" ;;
    bench) install_debian_packages "${ROOM_PACKAGES[@]}" wrk ;;
    "") install_debian_packages "${ROOM_PACKAGES[@]}" ;;
    *) fail "setup.sh knows only 'lab' and 'bench'." "Run it without arguments, or with one of them." ;;
esac
check_node
make_browser_user
