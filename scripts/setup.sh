#!/usr/bin/env bash
# Install what one machine needs; `setup.sh lab` adds what the six-VM lab needs. Does nothing twice.
# Everything that cannot work is said first, before anything is fetched; `setup.sh check` stops there.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/machine.sh
. scripts/machine.sh

VENV=.venv
ROOM_PACKAGES=(bubblewrap libgomp1 libatomic1 fonts-dejavu-core tigervnc-standalone-server tigervnc-tools novnc websockify openbox xterm)
LAB_PACKAGES=(systemd systemd-sysv systemd-container dbus openssh-server openssh-client iproute2 nftables rsync sudo espeak-ng
    curl debootstrap e2fsprogs procps)

# As pip does: a network with a certificate authority of its own has it among the system's.
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}

fail() { printf 'error: %s\nremedy: %s\n' "$1" "$2" >&2; exit 1; }
say() { printf '%s\n' "$*" >&2; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Sets `missing` to those of $@ that are not installed.
find_missing() {
    missing=()
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
}

install_debian_packages() {
    [ $# = 0 ] && return
    say "installing $*"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq ||
        fail "The Debian package archive is not reachable." "Check the network, then run this again."
    # No service of these packages may start here: the platform runs its own.
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        fail "apt-get could not install $*." "See its words above."
}

has_uv() { "$VENV/bin/python" -c '' 2>/dev/null && [ -x $VENV/bin/uv ]; }

make_venv() {
    has_uv && return
    local python; python=$(find_python)
    say "making $VENV with $("$python" --version)"
    "$python" -m venv --clear $VENV
    # The lock pins uv itself, with its hash.
    awk '/^uv==/{on=1} on{print} on && !/\\$/{exit}' locks/dev.txt > $VENV/uv.txt
    $VENV/bin/python -m pip install --quiet --require-hashes -r $VENV/uv.txt ||
        fail "The Python package index is not reachable." "Check the network, then run this again."
}

wanted_packages() { cat locks/*.txt pyproject.toml | sha256sum; }
has_python_packages() { has_uv && [ "$(cat $VENV/.locks 2>/dev/null)" = "$(wanted_packages)" ]; }

install_python_packages() {
    has_python_packages && return
    say "installing Python packages (about 1.3 GB the first time)"
    local files=(); for lock in locks/*.txt; do [ -s "$lock" ] && files+=("$lock"); done
    # The cache that VMs install from, so that each package is fetched and unpacked once.
    if [ -z "${UV_CACHE_DIR:-}" ] && mkdir -p "$(cache)/uv" 2>/dev/null && [ -w "$(cache)/uv" ]; then
        export UV_CACHE_DIR; UV_CACHE_DIR="$(cache)/uv"
    fi
    # Compiled once: every Python process of the platform then starts in half the time, and where
    # PYTHONDONTWRITEBYTECODE is set (in many containers) nobody else would ever do it.
    $VENV/bin/uv pip sync --python $VENV/bin/python --compile-bytecode --require-hashes "${files[@]}" ||
        fail "uv could not install the locked packages." "See its words above; a cached run needs no network."
    $VENV/bin/uv pip install --quiet --python $VENV/bin/python --no-deps --no-build-isolation --editable .
    wanted_packages > $VENV/.locks
}

make_browser_user() {
    # As root, Chromium runs as a user of its own, with its sandbox on.
    [ "$(id -u)" = 0 ] || return 0
    id autobot-browser >/dev/null 2>&1 || useradd --system --create-home --shell /usr/sbin/nologin autobot-browser
}

[ -x "${AUTOBOT_CHROMIUM:-}" ] || ROOM_PACKAGES+=(chromium)
# In a chroot, or where an owner switched them off, an ordinary user gets no user namespace: Chromium's
# sandbox then needs its helper, which is set-user-id. Elsewhere it is better left out.
ordinary=(); [ "$(id -u)" = 0 ] && ordinary=(setpriv --reuid 65534 --regid 65534 --clear-groups)
"${ordinary[@]}" unshare --user true 2>/dev/null || ROOM_PACKAGES+=(chromium-sandbox)
case "${1:-}" in
    lab) packages=("${ROOM_PACKAGES[@]}" "${LAB_PACKAGES[@]}") ;;
    bench) packages=("${ROOM_PACKAGES[@]}" wrk) ;;
    check | "") packages=("${ROOM_PACKAGES[@]}") ;;
    *) fail "setup.sh knows only 'lab', 'bench' and 'check'." "Run it without arguments, or with one of them." ;;
esac
find_missing "${packages[@]}"
check_system
has_uv || check_python
check_debian_packages "${missing[@]}"
has_python_packages || { check_memory; check_disk; }
report_problems
[ "${1:-}" = check ] && exit

if ! has_uv && ! "$(find_python)" -c 'import ensurepip' 2>/dev/null; then
    install_debian_packages "$("$(find_python)" -c 'import sys; print("python3.%d-venv" % sys.version_info.minor)')"
fi
make_venv
install_debian_packages "${missing[@]}" & debian=$! # beside the Python packages,
trap 'wait $debian' EXIT                             # and never left half-way
install_python_packages
wait $debian
make_browser_user
