# SPDX-License-Identifier: BSD-3-Clause
# functions.sh: what the scripts that run in a guest share. Read by busybox's sh, in /test.

plugin=/programs/nbdkit-zram-plugin.so
uzram=/programs/uzram

# busybox prefers its own, which know less.
mkswap() { /programs/mkswap "$@"; }
swapon() { /programs/swapon "$@"; }
swapoff() { /programs/swapoff "$@"; }

say() {
    echo "$(cut -d' ' -f1 /proc/uptime) $*"
}

fail() {
    say "FAILED: $*"
    exit 1
}

# meminfo NAME: in KiB.
meminfo() {
    awk -v name="$1:" '$1 == name { print $2 }' /proc/meminfo
}

# vmstat NAME: events since the start.
vmstat() {
    awk -v name="$1" '$1 == name { print $2 }' /proc/vmstat
}

# statistic NAME: of the one uzram server.
statistic() {
    "$uzram" get stats | tr ',{}' '\n\n\n' | sed -n "s/^ *\"$1\": *//p"
}

# serve PLUGIN KEY...: nbdkit with a socket, in the background; `without` what $without takes from it.
without=
serve() {
    rm -f /run/server.pid
    $without nbdkit -P /run/server.pid -U /run/server.sock -t 4 "$@" || return 1
    until [ -s /run/server.pid ]; do sleep 0.1; done
    server=$(cat /run/server.pid)
}

# attach: the server becomes /dev/nbd0.
attach() {
    nbd-client -unix /run/server.sock /dev/nbd0 -swap -b 4096 -nonetlink >/run/nbd-client.log 2>&1 || {
        cat /run/nbd-client.log
        return 1
    }
    echo 128 >/sys/block/nbd0/queue/max_sectors_kb
}

# swap_on_uzram MIB KEY...; swap_on_memory MIB (nbdkit's plugin; its --swap makes 192 MiB resident and is
# killed at once); swap_on_zram MIB.
swap_on_uzram() {
    local mib=$1
    shift
    "$uzram" swap start "${mib}M" --plugin "$plugin" "$@" || return 1
    server=$(readlink /run/uzram/*.state | cut -d= -f2)
}

# swap_on_uzram_without CAPABILITY MIB KEY...: one of the measures can't be had.
swap_on_uzram_without() {
    local capability=$1 mib=$2
    shift 2
    without="/programs/setpriv --bounding-set -$capability --inh-caps -$capability"
    [ "$capability" != ipc_lock ] || without="$without /programs/prlimit --memlock=65536"
    serve "$plugin" "${mib}M" swap=on "$@" && attach && use_swap /dev/nbd0
}

swap_on_memory() {
    serve memory "${1}M" allocator=zstd && attach && use_swap /dev/nbd0
}

swap_on_zram() {
    echo lz4 >/sys/block/zram0/comp_algorithm && echo "${1}M" >/sys/block/zram0/disksize && use_swap /dev/zram0
}

use_swap() {
    mkswap "$1" >/run/mkswap.log 2>&1 && swapon -d -p 100 "$1"
}

# load NAME COMMAND...: a process that may be swapped. Its status is then in /run/NAME.
load() {
    local name=$1
    shift
    rm -f "/run/$name"
    sh -c 'echo $$ >/sys/fs/cgroup/load/cgroup.procs; exec "$@"' load "$@"
    echo $? >"/run/$name"
}

# succeeded NAME: waits for it to end.
succeeded() {
    until [ -s "/run/$1" ]; do sleep 0.2; done
    [ "$(cat "/run/$1")" = 0 ]
}

# fill_cache: keeps reading a disk through the page cache.
fill_cache() {
    while :; do dd if=/dev/vda of=/dev/null bs=1M 2>/dev/null; done
}

# storm_begin MIB ROUNDS: two processes that fill it and rewrite it at random, seven eighths with pages
# of which LZ4 makes a third, one eighth with pages of which it makes two thirds; and fill_cache.
storm_begin() {
    load first /programs/storm $(($1 * 7 / 8)) 30 1 "$2" &
    load second /programs/storm $(($1 / 8)) 62 2 "$2" &
    fill_cache &
    cache=$!
}

# storm_end: waits for the two; false if one found a bad page or died.
storm_end() {
    local status=0
    succeeded first || status=1
    succeeded second || status=1
    kill $cache
    wait $cache 2>/dev/null
    return $status
}
