#!/bin/sh
# The first process of a container gets no default action for SIGTERM: pass it on, so that stopping takes no time.
httpd -f -p "$PORT" -h "$ROOT" "$@" &
trap 'kill $!' TERM
wait $!
