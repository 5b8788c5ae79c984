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

# CMake's name of the library for this machine's processor. Each takes one to two minutes to build, so it
# is the only one: what does not run where the cache is moved to is not loaded, and the program is slow.
library() {
    local flags; flags=" $(awk -F: '/^flags/{print $2; exit}' /proc/cpuinfo) "
    has() { local flag; for flag in "$@"; do [[ $flags == *" $flag "* ]] || return 1; done; }
    if [ "$(uname -m)" != x86_64 ]; then echo ggml-cpu
    elif has avx512f avx512cd avx512vl avx512dq avx512bw avx512vbmi avx512_vnni; then echo ggml-cpu-icelake
    elif has avx512f avx512cd avx512vl avx512dq avx512bw; then echo ggml-cpu-skylakex
    elif has avx2 fma f16c bmi2 avx_vnni; then echo ggml-cpu-alderlake
    elif has avx2 fma f16c bmi2; then echo ggml-cpu-haswell
    elif has avx; then echo ggml-cpu-sandybridge
    else echo ggml-cpu-sse42; fi
}

# Without it the program computes without SIMD and takes seconds for a word. Ollama's own CMake files.
build_library() {
    local source; source=$(go mod download -json "github.com/ollama/ollama@v$VERSION" | sed -n 's/.*"Dir": "\(.*\)",*/\1/p')
    say "building its library $(library)"
    # No compiler for graphics processors is looked for: what one finds of them differs by machine.
    cmake -S "$source" -B "$1/build" -DCMAKE_CUDA_COMPILER= -DCMAKE_HIP_COMPILER= \
        -DCMAKE_DISABLE_FIND_PACKAGE_Vulkan=ON >"$1/cmake.log" 2>&1 &&
        nice cmake --build "$1/build" --parallel "$(nproc)" --target "$(library)" >>"$1/cmake.log" 2>&1 ||
        { tail -20 "$1/cmake.log" >&2; fail "Ollama's library could not be built." "See CMake's words above."; }
    mkdir -p "$1/made/lib/ollama"
    cp "$1"/build/lib/ollama/*.so* "$1/made/lib/ollama/"
    strip --strip-unneeded "$1"/made/lib/ollama/*.so*
}

build() {
    local work="$1"
    fetch_headers "$work" || fail "The header files could not be fetched." "Check the package registry, then try again."
    say "building Ollama $VERSION (about six minutes, once)"
    GOBIN="$work/made/bin" GOFLAGS=-buildvcs=false CGO_ENABLED=1 \
        CGO_CFLAGS="-O2 -I$work" CGO_CXXFLAGS="-O2 -I$work" \
        nice go install -ldflags "-s -w -X github.com/ollama/ollama/version.Version=$VERSION" \
        "github.com/ollama/ollama@v$VERSION" >&2 ||
        fail "Ollama could not be built." "See Go's words above; the Go module proxy must be reachable."
    build_library "$work"
}

install_cmake() {
    local as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    command -v apt-get >/dev/null || return 1
    say "installing cmake"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2 &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends cmake >/dev/null
}

installed=$(command -v ollama || true)
if [ -n "$installed" ] && new_enough "$installed"; then echo "$installed"; exit; fi

kept="$(cache)/ollama/$VERSION"
program="$kept/bin/ollama"
if [ -x "$program" ]; then echo "$program"; exit; fi
[ "${1:-}" = find ] && fail "There is no Ollama >= $OLDEST here." "make ollama" $NOT_HERE

for tool in go gcc g++ make; do
    command -v $tool >/dev/null || fail "No Ollama >= $OLDEST is installed, and without $tool none can be built." \
        "Install Ollama (or Go, gcc, g++ and make). Everything else works without it." $NOT_HERE
done
command -v cmake >/dev/null || install_cmake ||
    fail "Without cmake Ollama would be built without its processor's instructions." "Install cmake." $NOT_HERE
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build "$work"
new_enough "$work/made/bin/ollama" || fail "The built program does not say it is $VERSION." "Report this."
mkdir -p "$(dirname "$kept")"
rm -rf "$kept" # of a build without libraries
mv "$work/made" "$kept.$$" && mv -T "$kept.$$" "$kept" # whole, or not there
echo "$program"
