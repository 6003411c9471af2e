#!/bin/sh
# Runs tests where cgroup v2 is all there is: in a mount namespace of their own, whose /sys/fs/cgroup is the unified
# hierarchy alone. On a host that has its controllers on v1, memory, CPU and process limits cannot be set there, and the
# tests that set them fail; everything else is as on a v2-only host. As root: sh scripts/cgroup-v2.sh test/engine-agent
set -eu
if [ "${1:-}" != --inside ]; then
  exec unshare --mount --propagation private sh "$0" --inside "$@"
fi
shift
for mount in /sys/fs/cgroup/*; do umount -l "$mount" 2> /dev/null || true; done
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
echo "$(stat -f -c %T /sys/fs/cgroup) with the controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
# What an OCI runtime hands down to its containers stays handed down, and then cannot be bound to v1 any more.
before=$(cat /sys/fs/cgroup/cgroup.subtree_control)
export NODE_OPTIONS="--experimental-vm-modules --no-warnings"
code=0
npx --no-install jest --maxWorkers=1 "$@" || code=$?
for controller in $(cat /sys/fs/cgroup/cgroup.subtree_control); do
  case " $before " in *" $controller "*) ;; *) echo "-$controller" > /sys/fs/cgroup/cgroup.subtree_control ;; esac
done
exit "$code"
