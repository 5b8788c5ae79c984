# What a machine must be, and where its cache is: sourced by the other scripts. setup.sh asks all of it
# before anything is fetched.
# shellcheck shell=bash

OLDEST_PYTHON=11 NEWEST_PYTHON=13  # of Python 3, as in pyproject.toml: Ray has wheels for these
NEEDED_MEMORY_MIB=3500             # a platform wants 3 GiB of it; see autobot/local/checks.py
NEEDED_DISK_MIB=7000               # packages, models and the first data; measured: docs/manual.md
OS_RELEASE=${OS_RELEASE:-/etc/os-release}

# The folder of models and downloads that every platform of this machine shares, as in autobot/settings.py.
cache() {
    if [ -n "${AUTOBOT_CACHE:-}" ]; then echo "$AUTOBOT_CACHE"
    elif [ -d /var/cache/autobot ]; then echo /var/cache/autobot
    else echo "${XDG_CACHE_HOME:-$HOME/.cache}/autobot"; fi
}

problems=()
problem() { problems+=("error: $1"$'\n'"remedy: $2"); }

# The Python to use: AUTOBOT_PYTHON, else the first one here that is neither too old nor too new.
find_python() {
    local candidate
    for candidate in ${AUTOBOT_PYTHON:-python3.11 python3.12 python3.13 python3}; do
        if right_python "$candidate"; then command -v "$candidate"; return; fi
    done
    return 1
}

right_python() {
    command -v "$1" >/dev/null && "$1" -c "import sys
sys.exit(not (3, $OLDEST_PYTHON) <= sys.version_info[:2] <= (3, $NEWEST_PYTHON))" 2>/dev/null
}

check_system() {
    [ "$(uname -s)" = Linux ] || problem "This is $(uname -s); AutoBot runs on Linux." \
        "Use a machine or a VM with Debian 12 or 13."
    [ "$(uname -m)" = x86_64 ] || problem "This processor is $(uname -m); Redis Stack is made for x86_64." \
        "Use an x86_64 machine."
}

check_python() {
    find_python >/dev/null && return
    local here=${AUTOBOT_PYTHON:-python3} remedy="apt-get install python3 (Debian 12, 13 and Ubuntu 24.04 have the right one)"
    if command -v "$here" >/dev/null; then
        here=$("$here" --version 2>&1)
        remedy="Use Debian 12, 13 or Ubuntu 24.04, or set AUTOBOT_PYTHON to the path of a Python 3.$OLDEST_PYTHON to 3.$NEWEST_PYTHON."
    else
        here="no $here"
    fi
    problem "Python 3.$OLDEST_PYTHON to 3.$NEWEST_PYTHON is needed; here is $here." "$remedy"
}

# $*: the Debian packages that are missing.
check_debian_packages() {
    [ $# = 0 ] && return
    if ! command -v apt-get >/dev/null; then
        problem "This is not a Debian system, and these are missing: $*." "Install them by hand."
    elif [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        problem "Debian packages are missing, and there is no sudo." "Run as root once: apt-get install --no-install-recommends $*"
    elif [[ " $* " == *" chromium "* ]] && grep -q '^ID=ubuntu' "$OS_RELEASE" 2>/dev/null; then
        problem "Ubuntu has Chromium only as a snap, which cannot run under room browser's user." \
            "Install Google Chrome from its own .deb and set AUTOBOT_CHROMIUM=/opt/google/chrome/chrome; then run this again."
    fi
}

check_memory() {
    local mib; mib=$(awk '/^MemTotal/{print int($2 / 1024)}' /proc/meminfo)
    [ "$mib" -ge $NEEDED_MEMORY_MIB ] || problem "This machine has $mib MiB of memory; $NEEDED_MEMORY_MIB MiB are needed." \
        "Use a larger machine."
}

check_disk() {
    local mib; mib=$(df --output=avail -m . | tail -1)
    [ "$mib" -ge $NEEDED_DISK_MIB ] || problem "$((mib)) MiB of disk are free here; $NEEDED_DISK_MIB MiB are needed." \
        "Free some space, or put the checkout on a larger disk."
}

# Say everything that is wrong, at once; then end.
report_problems() {
    [ ${#problems[@]} = 0 ] && return
    printf '%s\n' "${problems[@]}" >&2
    exit 1
}
