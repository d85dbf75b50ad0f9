# SPDX-License-Identifier: BSD-3-Clause
# functions.sh: what the script tests share: TAP output, and a server of our plugin to talk to.
#
# A script sources this, calls check (or skip) once per sentence, and ends with finish. Run by hand
# it uses the plugin in build/: `tests/sizes`; `make check` says where else to look.
# shellcheck shell=bash

set -u
export LC_ALL=C.UTF-8
srcdir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
builddir=$(cd "${abs_top_builddir:-$srcdir/build}" && pwd)
plugin=$builddir/plugin/.libs/nbdkit-zram-plugin.so
work=$(mktemp -d "${TMPDIR:-/tmp}/uzram-test.XXXXXX")
socket=$work/socket
# shellcheck disable=SC2034  # for the scripts
uri="nbd+unix:///?socket=$socket"
# Where servers make their control sockets that are told no place.
export XDG_RUNTIME_DIR=$work
server=
checks=0
failures=0

# nbdkit as these tests run it: with a sanitizer in the plugin, its runtime has to be loaded first.
nbdkit=(env ${UZRAM_PRELOAD:+LD_PRELOAD="$UZRAM_PRELOAD"} nbdkit)

# check SENTENCE COMMAND...: one test; it passes if the command's status is 0. What the command
# prints is shown as TAP comments.
check() {
    local sentence=$1
    shift
    checks=$((checks + 1))
    if "$@" >"$work/said" 2>&1; then
        echo "ok $checks - $sentence"
    else
        echo "not ok $checks - $sentence"
        failures=$((failures + 1))
    fi
    sed 's/^/# /' "$work/said"
}

# skip SENTENCE REASON: a test that cannot run here.
skip() {
    checks=$((checks + 1))
    echo "ok $checks - $1 # SKIP $2"
}

# The last line of a script: the plan, and the status.
finish() {
    echo "1..$checks"
    exit $((failures > 0))
}

# server_start [NBDKIT-OPTION... --] KEY=VALUE...: serves a disk at $uri until server_stop. Ends the
# server that a failed test may have left.
server_start() {
    local options=()
    [[ -z $server ]] || server_stop
    if [[ " $* " == *' -- '* ]]; then
        while [[ $1 != -- ]]; do
            options+=("$1")
            shift
        done
        shift
    fi
    rm -f "$work/pid" "$socket"
    "${nbdkit[@]}" -f --exit-with-parent -P "$work/pid" -U "$socket" \
        ${options[@]+"${options[@]}"} "$plugin" "$@" 2>"$work/server.log" &
    server=$!
    local tenths
    for ((tenths = 0; tenths < 300; tenths++)); do
        [[ -s $work/pid ]] && return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    echo "the server did not start:"
    cat "$work/server.log"
    return 1
}

# Ends the server as its user would. Fails unless it was still there and ended with status 0 soon.
# With the address sanitizer's runtime in it, nbdkit now and then hangs in exit(), whatever the
# plugin (glibc's locale lock was given back once too often): then what the sanitizer said counts.
server_stop() {
    [[ -n $server ]] || return 1
    kill "$server"
    local tenths status=0
    for ((tenths = 0; tenths < 200; tenths++)); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    if kill -9 "$server" 2>/dev/null; then
        wait "$server"
        [[ -n ${UZRAM_PRELOAD:-} ]] && ! grep -E 'ERROR: |runtime error: ' "$work/server.log"
        status=$?
        echo "the server did not end"
    else
        wait "$server" || status=$?
    fi
    server=
    [[ $status == 0 ]] || cat "$work/server.log"
    return $status
}

# statistic NAME: its value in the statistics file that the server was given.
statistic() {
    awk -v name="$1" '$1 == name { print $2; found = 1 } END { exit !found }' "$work/stats"
}

clean_up() {
    [[ -z $server ]] || kill "$server" 2>/dev/null
    wait 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP
