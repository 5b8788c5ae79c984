#!/usr/bin/env bash
# Makes a Debian VM ready for one room: setup_node.sh ROOM. Run it as often as you like: what is done
# is not done again. It needs no network when the package caches hold what the room needs.
set -euo pipefail

room=${1:?usage: setup_node.sh ROOM}
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
venv=/opt/autobot/venv
cache=/var/cache/autobot

fail() {
    printf '%s: %s\n  %s\n' "$(hostname)" "$1" "$2" >&2
    exit 1
}

sudo -n true 2>/dev/null || fail "sudo asks for a password" "Give $(id -un) sudo without one."
[ -d "$cache" ] || sudo -n install -d -o "$(id -u)" -g "$(id -g)" "$cache"
# Login shells read these settings from PAM; a start under systemd does not come through here.
export UV_CACHE_DIR=${UV_CACHE_DIR:-$cache/uv}
# As pip does: a network with a certificate authority of its own has it among the system's.
[ ! -f /etc/ssl/certs/ca-certificates.crt ] || export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}

# apt packages: what the room cannot run without, and what it is better with.
needed="nftables rsync"
wished=""
case $room in
    main) needed="$needed tigervnc-standalone-server novnc websockify openbox" wished="xterm" ;;
    llm) needed="$needed libgomp1" ;; # llama.cpp computes with several threads
    browser) needed="$needed chromium bubblewrap libatomic1" ;; # the last for Playwright's Node
esac

missing() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' ||
            echo "$package"
    done
}

apt_install() {
    sudo -n DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

# shellcheck disable=SC2086  # lists of words
absent=$(missing $needed)
if [ -n "$absent" ]; then
    # shellcheck disable=SC2086
    apt_install $absent || { sudo -n apt-get update && apt_install $absent; } ||
        fail "apt cannot install $(echo $absent)" "Give this VM a Debian mirror, then run it again."
fi
# shellcheck disable=SC2086
absent=$(missing $wished)
if [ -n "$absent" ]; then
    # shellcheck disable=SC2086
    apt_install $absent >/dev/null 2>&1 || echo "without $absent: apt cannot install it"
fi

if [ "$room" = browser ] && ! id autobot-browser >/dev/null 2>&1; then
    sudo -n useradd --system --no-create-home --shell /usr/sbin/nologin autobot-browser
fi

python=$(command -v python3.11 || command -v python3) || fail "there is no Python" "apt-get install python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old" "Use Debian 12 or newer."

if command -v uv >/dev/null; then
    uv=uv
elif [ -x "$cache/bin/uv" ]; then
    uv=$cache/bin/uv
else
    "$python" -m venv "$cache/uv-venv" && "$cache/uv-venv/bin/pip" install --quiet uv ||
        fail "uv cannot be installed" "Put its binary at $cache/bin/uv, or give this VM a package index."
    uv=$cache/uv-venv/bin/uv
fi

locks=("$checkout/locks/ray.txt" "$checkout/locks/base.txt")
[ ! -e "$checkout/locks/$room.txt" ] || locks+=("$checkout/locks/$room.txt") # an own room has none
stamp=$(cat "${locks[@]}" | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$venv/.locks" 2>/dev/null)" != "$stamp" ]; then
    [ -d /opt/autobot ] || sudo -n install -d -o "$(id -u)" -g "$(id -g)" /opt/autobot
    [ -x "$venv/bin/python" ] || "$uv" venv --quiet --python "$python" "$venv"
    "$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes \
        --allow-empty-requirements "${locks[@]}" ||
        fail "the Python packages of room $room cannot be installed" "See above; then run it again."
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    echo "$checkout" > "$site/autobot.pth"
    printf '#!%s/bin/python\nfrom autobot.cli import main\n\nmain()\n' "$venv" > "$venv/bin/autobot"
    chmod 755 "$venv/bin/autobot"
    echo "$stamp" > "$venv/.locks"
fi

"$venv/bin/python" -m autobot.cluster.node fetch "$room"
echo "$(hostname) is ready for room $room"
