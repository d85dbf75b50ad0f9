# SPDX-License-Identifier: BSD-3-Clause
# functions.sh: what the scripts here share: messages of one line, and an end that leaves nothing.
#
# A script sources this first. What takes long it starts by `run`, so that a signal is obeyed at once
# and not when that has ended; whatever is still running in the background is ended with the script.
# A script that has more to put away defines clean_up.
# shellcheck shell=bash

set -euo pipefail
export LC_ALL=C.UTF-8
program=${0##*/}
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=${UZRAM_BUILD:-$top/build}

say() {
    echo "$program: $*" >&2
}

die() {
    say "$@"
    exit 1
}

clean_up() {
    :
}

finish() {
    trap '' HUP INT TERM
    set +e
    local left
    for left in $(jobs -p); do
        kill "$left" 2>/dev/null
    done
    wait
    clean_up
    rm -rf "$work"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/uzram-bench.XXXXXX")
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# run COMMAND...: its status.
run() {
    "$@" &
    wait $!
}

# needs COMMAND...: ends the script unless all of them are installed.
needs() {
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null || die "$command is missing"
    done
}

# needs_program NAME...: ends the script unless these programs of bench/ were built.
needs_program() {
    local name
    for name in "$@"; do
        [[ -x $build/bench/$name ]] || die "$build/bench/$name is missing: make -C $build bench"
    done
}

# needs_pages FILE: ends the script unless it can be read and is made of 4 KiB pages.
needs_pages() {
    [[ -e $1 ]] || die "$1: there is no such file"
    [[ -f $1 ]] || die "$1: not a regular file"
    [[ -r $1 ]] || die "$1: can't be read"
    local bytes
    bytes=$(stat -L -c %s "$1")
    ((bytes > 0 && bytes % 4096 == 0)) || die "$1: $bytes bytes are not whole 4 KiB pages"
}

# needs_count NAME VALUE: ends the script unless it is a whole number from 1.
needs_count() {
    [[ $2 =~ ^[1-9][0-9]{0,8}$ ]] || die "$1=$2: a whole number from 1 is accepted"
}
