#!/bin/sh
# What only an account shows: deploys everything, builds, deploys a service, looks at headers and leftovers, removes.
# Costs money. Refuses without credentials, for any account but the one that is named, and where there is a Wharf already.
# However it ends, also by Ctrl-C, it removes what it made. See TESTING.md.
set -eu
cd "$(dirname "$0")/.."

refuse() { echo "verify-on-aws: $1" >&2; exit 2; }
[ -n "${WHARF_VERIFY_ACCOUNT:-}" ] || refuse 'set WHARF_VERIFY_ACCOUNT to the account that may be used and charged'
command -v aws > /dev/null || refuse 'the AWS CLI is wanted'
account=$(aws sts get-caller-identity --query Account --output text 2> /dev/null) || refuse 'no credentials that work'
[ "$account" = "$WHARF_VERIFY_ACCOUNT" ] || refuse "these credentials are of $account, not of $WHARF_VERIFY_ACCOUNT"
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || echo us-east-1)}}
# All of it in this one, whatever a profile says besides.
export AWS_REGION="$region" AWS_DEFAULT_REGION="$region"
# What is there already would be changed, and removed at the end.
there=$(aws cloudformation describe-stacks --output text --query "Stacks[?StackName=='Handler' || starts_with(StackName, \
  'Wharf')].StackName") || refuse 'stacks could not be listed'
[ -z "$there" ] || refuse "in $region there is already: $there. Name another region with AWS_REGION, or remove it first (docs/aws/removal.md)"

wharf() { npx --no-install tsx bin/wharf.ts "$@"; }
app() { npx --no-install cdk "$@" -c registryPlainHttp=true -c storageGoes=true; }
example() { npx --no-install cdk "$@" --app 'npx tsx examples/cdk-dockerfile-lambda/app.ts' Handler; }
step() { printf '\n== %s\n' "$1"; }
output() { aws cloudformation describe-stacks --stack-name "$1" --output text \
  --query "Stacks[0].Outputs[?contains(OutputKey, '$2')].OutputValue | [0]"; }
# Made at run time, so that no stack knows them.
repositories() { aws ecr describe-repositories --output text \
  --query "repositories[?starts_with(repositoryName, 'wharf/')].repositoryName" | tr '\t' '\n'; }
cost() { npx --no-install tsx --eval "import { idleMonth, total, WHOLE_PLATFORM } from './lib/constructs/cost.ts';
  const hour = total(idleMonth({ ...WHOLE_PLATFORM, hasRegistryFront: true, minInstances: 2 })) / 730;
  console.log('about US\$ ' + (hour * $1).toFixed(2) + ' for $1 h, two small instances and a load balancer among it');"; }

# CloudFormation takes no deletion while it still takes back a deployment that was cut short.
destroy() {
  for pause in 60 120 0; do
    "$@" && return
    sleep $pause
  done
  echo "NOT CLEAN: $*"
  clean=no
}
leave() {
  trap '' INT TERM HUP
  clean=yes
  step 'removal, which is not to be interrupted'
  # A cluster with a service is not deleted. CloudFormation knows nothing of what was made over the API; the reconciler
  # takes it away before it goes itself.
  [ -z "${WHARF_TOKEN:-}" ] || wharf rm greeting --cluster wharf || echo 'no service was there'
  turns=40
  while [ -n "${WHARF_URL:-}" ] && [ $turns -gt 0 ] && wharf cluster rm wharf-verify 2> /dev/null; do
    turns=$((turns - 1))
    sleep 30
  done
  destroy example destroy --force
  destroy app destroy --force WharfRegistry WharfPlatform WharfCapacity WharfStorage
  for repository in $(repositories || true); do
    case " $repositories_before " in *" $repository "*) continue;; esac
    aws ecr delete-repository --force --repository-name "$repository" > /dev/null \
      || { echo "NOT CLEAN: repository $repository"; clean=no; }
  done
  step 'leftovers: each list should be empty'
  aws cloudformation describe-stacks --output text \
    --query "Stacks[?StackName=='Handler' || starts_with(StackName, 'Wharf')].[StackName,StackStatus]" || true
  repositories || true
  aws resourcegroupstaggingapi get-resources --tag-filters Key=application,Values=wharf --output text \
    --query 'ResourceTagMappingList[].ResourceARN' || true
  aws autoscaling describe-auto-scaling-groups --output text \
    --query "AutoScalingGroups[?starts_with(AutoScalingGroupName, 'wharf-')].AutoScalingGroupName" || true
  aws ecs describe-capacity-providers --output text \
    --query "capacityProviders[?starts_with(name, 'wharf-') && status=='ACTIVE'].name" || true
  step 'which cost nothing and stay: task definitions; the assets of CDK cost cents'
  aws ecs list-task-definition-families --family-prefix wharf- --status ACTIVE --output text --query 'families' || true
  step 'cost, by the table of prices in lib/constructs/cost.ts'
  cost $(( ($(date +%s) - started + 3599) / 3600 )) || true
  echo 'what the bill says comes a day later: aws ce get-cost-and-usage'
  [ $clean = yes ] || exit 3
}

started=$(date +%s)
repositories_before=$(repositories | tr '\n' ' ')
step "deployment to account $account, region $region"
echo "$(cost 1); it takes an hour or so, and removes what it made however it ends"
trap leave EXIT
# A shell that a signal ends would leave without it.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
app deploy --all --require-approval never
WHARF_URL=$(output WharfPlatform Url); export WHARF_URL
WHARF_TOKEN=$(aws secretsmanager get-secret-value --query SecretString --output text \
  --secret-id "$(output WharfPlatform AdminTokenSecret)"); export WHARF_TOKEN

step 'a build without RUN, of an image of another registry'
wharf build examples/cdk-dockerfile-image/app -t greeting:1

step 'what the machine of the builder function allows, tried when it was deployed'
wharf doctor

step 'a service, from no instance'
wharf cluster create wharf --instances 1
wharf deploy greeting --cluster wharf --image greeting:1 --count 1

step 'a second release rolled out, and back'
wharf deploy greeting --cluster wharf -e RELEASE=2
wharf rollback greeting --cluster wharf

step 'a build with a RUN, which goes on in a worker'
if [ "$(uname -sm)" = 'Linux aarch64' ] && command -v runc > /dev/null; then
  npm run worker-image -- "$WHARF_URL" "$WHARF_TOKEN"
  printf 'FROM public.ecr.aws/docker/library/busybox:1\nRUN uname -a > /made\n' |
    wharf build -f - examples/cdk-dockerfile-image/app -t made:1
else
  echo 'left out: the worker image is made on an arm64 machine of Debian or Ubuntu, as the instances are'
fi

step 'twelve tasks of no service: two calls of RunTask, and their end'
wharf run greeting:1 --cluster wharf --count 12 -- node --version

step 'a cluster made over the API, where MadeClusters is deployed'
wharf cluster create wharf-verify --instances 1 || echo 'not deployed, or NOT RIGHT: see above'

step 'the contract suites of the adapters, and the distribution API, over S3, DynamoDB and SQS of this account'
WHARF_TEST_S3_ENDPOINT=https://s3.$region.amazonaws.com \
  WHARF_TEST_DYNAMODB_ENDPOINT=https://dynamodb.$region.amazonaws.com \
  WHARF_TEST_SQS_ENDPOINT=https://sqs.$region.amazonaws.com NODE_OPTIONS='--experimental-vm-modules --no-warnings' \
  npx --no-install jest --maxWorkers=1 --testTimeout=300000 \
  test/store/blob-store-s3 test/store/record-store-dynamodb test/store/queue-sqs test/store/content-store \
  test/protocol/registry/conformance-cloud \
  || echo 'NOT RIGHT: a fake differs from the service'

step 'headers: the challenge of the registry, HEAD and Range through the gateway'
curl -sS -o /dev/null -D - "$WHARF_URL/v2/" | grep -i authenticate
for method in HEAD GET; do
  curl -sS -o /dev/null -D - -X "$method" -H 'Range: bytes=0-9' -H "Authorization: Bearer $WHARF_TOKEN" \
    "$WHARF_URL/v2/greeting/manifests/1" | grep -iE '^(HTTP|content-length|content-range)'
done

step 'a layer of 32 MB in one piece, through the registry front'
front=$(output WharfRegistry Url)
# It has no TLS, so that the token which passes there in the clear is one of an hour, and may push only.
token=$(wharf token create verify --role deploy --expires 1h)
curl -sS -o /dev/null -D - "$front/v2/" | grep -i '^www-authenticate'
layer=$(mktemp)
head -c 33554432 /dev/urandom > "$layer"
at=$(curl -sS -o /dev/null -D - -X POST -H "Authorization: Bearer $token" "$front/v2/verify/heavy/blobs/uploads/" |
  sed -n 's/^[Ll]ocation: *\([^[:space:]]*\).*/\1/p')
curl -sS -o /dev/null -w '%{http_code}\n' -X PATCH -T - -H "Authorization: Bearer $token" "$front$at" < "$layer"
curl -sS -o /dev/null -w '%{http_code}\n' -X PUT -H "Authorization: Bearer $token" \
  "$front$at?digest=sha256:$(sha256sum "$layer" | cut -d ' ' -f 1)"
rm -f "$layer"
wharf token revoke verify

step 'the log of the load balancer: what it writes when logging begins'
logs=$(aws cloudformation describe-stack-resources --stack-name WharfRegistry --output text \
  --query "StackResources[?ResourceType=='AWS::S3::Bucket'].PhysicalResourceId | [0]")
aws s3api list-objects-v2 --bucket "$logs" --max-items 3 --query 'Contents[].Key'

step 'an image of a template: built, and the same the second time'
for turn in 1 2; do
  example deploy --require-approval never
  aws lambda get-function --query Code.ImageUri --output text --function-name "$(aws cloudformation \
    describe-stack-resources --stack-name Handler --output text \
    --query "StackResources[?starts_with(LogicalResourceId, 'Function') && ResourceType=='AWS::Lambda::Function'].PhysicalResourceId | [0]")"
done

step 'memory: what the last call of each function used of what it has'
for group in $(aws logs describe-log-groups --output text \
  --query "logGroups[?starts_with(logGroupName, 'WharfPlatform-')].logGroupName"); do
  aws logs filter-log-events --log-group-name "$group" --filter-pattern REPORT --output text --query 'events[-1].message'
done
echo 'verify-on-aws: done; what was printed is to be compared with TESTING.md'
