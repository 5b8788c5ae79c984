#!/usr/bin/env bash
# Obtain a real Ollama server and print the path of its program; `ollama.sh find` only looks for one.
#
# An installed one that is new enough is used. Otherwise it is built once, from the Go module of the last
# release line whose native sources are part of the module, and kept in AutoBot's cache by version.
# Exit code 3: this machine has neither, which is no fault; 1: it should have worked and did not.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/machine.sh
. scripts/machine.sh

VERSION=0.12.6
OLDEST=0.12.6 # the first release that can be told not to cut a long prompt
NOT_HERE=3

fail() { printf 'error: %s\nremedy: %s\n' "$1" "$2" >&2; exit "${3:-1}"; }
say() { printf '%s\n' "$*" >&2; }

# Whether program $1 is Ollama of at least version $OLDEST. No server is asked: port 9 is closed.
new_enough() {
    local found
    found=$(OLLAMA_HOST=127.0.0.1:9 "$1" --version 2>&1 | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | tail -1) || return 1
    [ "$(printf '%s\n' "$OLDEST" "$found" | sort -V | head -1)" = "$OLDEST" ]
}

# The module lacks a few header files (nlohmann/json and others) which the source package of xllamacpp has.
fetch_headers() {
    local engine; engine=$(awk -F '[= ]+' '/^xllamacpp==/{print $2; exit}' locks/llm.txt)
    say "fetching header files (xllamacpp $engine, source)"
    .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary xllamacpp \
        --dest "$1" "xllamacpp==$engine" >&2
    tar -xzf "$1"/xllamacpp-*.tar.gz -C "$1" --strip-components=4 --wildcards '*/thirdparty/llama.cpp/vendor/*'
}

build() {
    local work="$1"
    fetch_headers "$work" || fail "The header files could not be fetched." "Check the package registry, then try again."
    say "building Ollama $VERSION (about five minutes, once)"
    GOBIN="$work/bin" GOFLAGS=-buildvcs=false CGO_ENABLED=1 \
        CGO_CFLAGS="-O2 -I$work" CGO_CXXFLAGS="-O2 -I$work" \
        nice go install -ldflags "-s -w -X github.com/ollama/ollama/version.Version=$VERSION" \
        "github.com/ollama/ollama@v$VERSION" >&2 ||
        fail "Ollama could not be built." "See Go's words above; the Go module proxy must be reachable."
}

installed=$(command -v ollama || true)
if [ -n "$installed" ] && new_enough "$installed"; then echo "$installed"; exit; fi

program="$(cache)/ollama/$VERSION/ollama"
if [ -x "$program" ]; then echo "$program"; exit; fi
[ "${1:-}" = find ] && fail "There is no Ollama >= $OLDEST here." "make ollama" $NOT_HERE

for tool in go gcc g++; do
    command -v $tool >/dev/null || fail "No Ollama >= $OLDEST is installed, and without $tool none can be built." \
        "Install Ollama (or Go, gcc and g++). Everything else works without it." $NOT_HERE
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build "$work"
new_enough "$work/bin/ollama" || fail "The built program does not say it is $VERSION." "Report this."
mkdir -p "$(dirname "$program")"
mv "$work/bin/ollama" "$program.$$" && mv "$program.$$" "$program" # whole, or not there
echo "$program"
