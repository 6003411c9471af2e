#!/bin/sh
# Installs what Wharf needs and the machine lacks: npm dependencies from the lockfile, host programs by apt.
# Does nothing when nothing is missing. Without root or apt it names what is missing and what that costs.
#   scripts/setup.sh           what the platform itself needs
#   scripts/setup.sh --tests   also the clients that the tests use
set -eu
cd "$(dirname "$0")/.."

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
if [ "$major" -lt 20 ]; then
  echo "set-up: Wharf needs Node 20 or newer (found: $(node --version 2>/dev/null || echo none))" >&2
  exit 1
fi

# npm leaves its own copy of the lockfile behind when it has finished; a stamp says which lockfile that was.
stamp=node_modules/.wharf-lock
if ! cmp -s package-lock.json "$stamp"; then
  echo "set-up: npm ci (dependencies of package-lock.json)"
  npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
  cp package-lock.json "$stamp"
fi

# program | where else it may lie | Debian package | what is lost without it
platform_tools="runc||runc|no container can run: neither RUN steps nor tasks
crun||crun|tasks cannot be started with --oci-runtime crun
conmon||conmon|no task can run
portmap|/usr/lib/cni/portmap /opt/cni/bin/portmap|containernetworking-plugins|containers get no network
ip|/usr/sbin/ip /sbin/ip|iproute2|containers get no network
iptables|/usr/sbin/iptables /sbin/iptables|iptables|no published ports and no egress
mount||mount|no layers can be mounted
busybox|/bin/busybox|busybox-static|no base image for the demo and the tests"
test_tools="jq||jq|the pipeline of docs/ci.md is not tried
skopeo||skopeo|the registry is not tried with skopeo
podman||podman|the registry is not tried with podman
buildah||buildah|the registry is not tried with buildah
docker-registry||docker-registry|caches, copies and base images are not tried with the registry of the CNCF
htpasswd||apache2-utils|other registries are not tried with a password
openssl||openssl|other registries are not tried with a token service
docker|/usr/bin/docker|docker.io|the registry is not tried with docker
dockerd|/usr/sbin/dockerd|docker.io|the registry is not tried with docker
debootstrap|/usr/sbin/debootstrap|debootstrap|no build is compared with docker's on a Debian base
ssh-agent||openssh-client|RUN --mount=type=ssh is not tried
dropbear|/usr/sbin/dropbear|dropbear-bin|git over ssh is not tried
aws||awscli|the ECS API is not tried with the AWS CLI"

tools=$platform_tools
[ "${1:-}" = --tests ] && tools="$platform_tools
$test_tools"

is_there() { # program, other places
  case "$1" in portmap) ;; *) command -v "$1" >/dev/null 2>&1 && return 0 ;; esac
  for place in $2; do [ -x "$place" ] && return 0; done
  return 1
}

missing=$(echo "$tools" | while IFS='|' read -r program places package cost; do
  is_there "$program" "$places" || echo "$program|$package|$cost"
done)
[ -z "$missing" ] && exit 0

packages=$(echo "$missing" | cut -d'|' -f2 | sort -u | tr '\n' ' ')
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "set-up: apt-get install $packages"
  log=$(mktemp)
  if apt-get update >"$log" 2>&1 &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages >>"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  echo "set-up: apt-get failed; its last lines:" >&2
  tail -n 15 "$log" >&2
  rm -f "$log"
fi
echo "set-up: these programs are missing and could not be installed here (that needs root and apt):" >&2
echo "$missing" | while IFS='|' read -r program package cost; do
  echo "  $program (Debian package $package): without it $cost" >&2
done
echo "set-up: as root: apt-get install $packages" >&2
