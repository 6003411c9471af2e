#!/bin/sh
# Runs tests under a kernel of their own, with cgroup v2 alone (`v2`) or v1 alone (`v1`) and their controllers, whatever
# the host has: User Mode Linux, an ordinary process, over this machine's files, which cannot be written from there. Its
# /tmp is in memory. As root, with user-mode-linux and busybox-static: sh scripts/own-kernel.sh v2 test/engine-agent
set -eu
MODULES='overlay bridge veth br_netfilter iptable_filter iptable_nat iptable_raw xt_comment xt_conntrack xt_recent
  xt_addrtype xt_MASQUERADE xt_nat xt_mark xt_tcpudp xt_multiport'

start() {
  [ "${1:-}" = v1 ] || [ "${1:-}" = v2 ] || { echo "usage: sh scripts/own-kernel.sh v1|v2 [what jest is told]" >&2; exit 2; }
  job=$(mktemp -d)
  trap 'rm -rf "$job"' EXIT
  trap 'exit 130' INT TERM
  groups=$1
  shift
  printf '%s\n' "$@" > "$job/tests"
  linux.uml mem=4G quiet con=null con0=fd:0,fd:1 ro rootfstype=hostfs rootflags=/ \
    init="$PWD/scripts/own-kernel.sh" cgroups="$groups" job="$job" work="$PWD" < /dev/null
  exit "$(cat "$job/code")"
}

# Here we are its first process; what was said to the kernel and is not its own is in the environment.
boot() {
  export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
  mount -t proc proc /proc
  mount -t sysfs sys /sys
  mountpoint -q /dev || mount -t devtmpfs dev /dev
  mkdir -p /dev/pts /dev/shm
  mount -t devpts -o ptmxmode=0666 devpts /dev/pts
  for folder in /run /var/tmp /dev/shm /mnt; do mount -t tmpfs tmpfs "$folder"; done
  mkdir -p /run/lock /run/netns /mnt/job
  mount -t hostfs -o "$job" none /mnt/job
  mount -t tmpfs -o mode=1777 tmpfs /tmp
  ip link set lo up
  # Its nf_tables has no IPv4.
  mount --bind /usr/sbin/xtables-legacy-multi /usr/sbin/xtables-nft-multi
  for module in $MODULES; do load "$module"; done
  "cgroups_$cgroups"
  cd "$work"
  # The arguments are words without spaces.
  TERM=dumb NODE_OPTIONS='--experimental-vm-modules --no-warnings' node node_modules/jest/bin/jest.js --cacheDirectory /tmp/jest \
    --maxWorkers=1 $(cat /mnt/job/tests) && code=0 || code=$?
  echo "$code" > /mnt/job/code
}

# A module after those it needs; what is there already stays.
load() {
  folder=/usr/lib/uml/modules/$(uname -r)
  for file in $(sed -n "s#^\(.*/$1\.ko\): *#\1 #p" "$folder/modules.dep" | tr ' ' '\n' | tac); do
    busybox insmod "$folder/$file" 2> /dev/null || true
  done
}

cgroups_v2() {
  mount -t cgroup2 none /sys/fs/cgroup
  echo "cgroup v2 alone: $(cat /sys/fs/cgroup/cgroup.controllers)"
}

cgroups_v1() {
  mount -t tmpfs tmpfs /sys/fs/cgroup
  controllers=$(awk '!/^#/ { print $1 }' /proc/cgroups)
  for name in $controllers; do
    mkdir "/sys/fs/cgroup/$name"
    mount -t cgroup -o "$name" none "/sys/fs/cgroup/$name"
  done
  mkdir /sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd none /sys/fs/cgroup/systemd
  echo "cgroup v1 alone:" $controllers
}

if [ $$ -ne 1 ]; then start "$@"; fi
boot || echo "the kernel of the tests came up only in part" >&2
echo o > /proc/sysrq-trigger
sleep 60
