#!/bin/sh
# A pipeline with nothing but curl and jq: builds the folder it stands in, deploys exactly what was built, and waits.
# A deployment that fails has been rolled back when this ends with 1.
#   WHARF_URL, WHARF_TOKEN   the platform, and a token of the role deploy
#   CLUSTER, SERVICE         where it runs
#   REVISION                 what is built, for its tag: a commit, a number of the pipeline
set -eu
: "${WHARF_URL:?}" "${WHARF_TOKEN:?}" "${CLUSTER:?}" "${SERVICE:?}" "${REVISION:?}"

api() { curl -sS --fail-with-body -H "Authorization: Bearer $WHARF_TOKEN" "$@"; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
service=$WHARF_URL/v1/clusters/$CLUSTER/services/$SERVICE

# The log comes while it is built; its last line says how the build ended, since the status of HTTP was sent long before.
# The key makes a repetition of this step, after a broken connection, the same build.
tar -c . | api -T - -H "Idempotency-Key: $SERVICE-$REVISION" "$WHARF_URL/v1/builds?tag=$SERVICE:$REVISION" | tee "$log"
grep -qx 'exit status 0' "$log"
digest=$(sed -n 's/^image .* \(sha256:[0-9a-f]*\)$/\1/p' "$log")

# The digest and not the tag: what was tested is what runs. This is the whole specification; what is left out is not kept.
deployment=$(jq -n --arg image "$SERVICE@$digest" '{ image: $image, count: 2 }' |
  api -X PUT -H 'Content-Type: application/json' -d @- "$service" | jq -r .deployment.id)

while :; do
  outcome=$(api "$service" | jq -r --arg id "$deployment" 'if .deployment.id == $id then .deployment.status else "superseded" end')
  case $outcome in
    pending | in-progress) sleep 1 ;;
    completed) break ;;
    *)
      echo "deployment $deployment: $outcome" >&2
      api "$WHARF_URL/v1/events?cluster=$CLUSTER&service=$SERVICE&limit=10" | jq -r '.events | reverse | .[].message' >&2
      exit 1
      ;;
  esac
done
echo "$SERVICE runs $digest"
