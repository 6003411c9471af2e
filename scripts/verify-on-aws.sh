#!/bin/sh
# What only an account shows: deploys everything, builds, deploys a service, looks at headers and leftovers, removes.
# Costs money. Refuses without credentials, and for any account but the one that is named. See TESTING.md.
set -eu
cd "$(dirname "$0")/.."

refuse() { echo "verify-on-aws: $1" >&2; exit 2; }
[ -n "${WHARF_VERIFY_ACCOUNT:-}" ] || refuse 'set WHARF_VERIFY_ACCOUNT to the account that may be used and charged'
command -v aws > /dev/null || refuse 'the AWS CLI is wanted'
account=$(aws sts get-caller-identity --query Account --output text 2> /dev/null) || refuse 'no credentials that work'
[ "$account" = "$WHARF_VERIFY_ACCOUNT" ] || refuse "these credentials are of $account, not of $WHARF_VERIFY_ACCOUNT"

step() { printf '\n== %s\n' "$1"; }
output() { aws cloudformation describe-stacks --stack-name WharfPlatform --output text \
  --query "Stacks[0].Outputs[?contains(OutputKey, '$1')].OutputValue | [0]"; }
leave() {
  step 'removal'
  # A cluster with a service is not deleted. CloudFormation knows nothing of what was made over the API; the reconciler
  # takes it away before it goes itself.
  [ -z "${WHARF_TOKEN:-}" ] || npx --no-install tsx bin/wharf.ts rm greeting --cluster wharf || echo 'no service was there'
  turns=40
  while [ -n "${WHARF_URL:-}" ] && [ $turns -gt 0 ] \
    && npx --no-install tsx bin/wharf.ts cluster rm wharf-verify 2> /dev/null; do turns=$((turns - 1)); sleep 30; done
  npx --no-install cdk destroy --force --app 'npx tsx examples/cdk-dockerfile-lambda/app.ts' Handler || echo 'NOT CLEAN: Handler is left'
  npx --no-install cdk destroy --force -c registryPlainHttp=true WharfRegistry WharfPlatform WharfCapacity || echo 'NOT CLEAN: cdk destroy failed'
  step 'leftovers, which docs/aws/removal.md explains'
  aws ecr describe-repositories --query "repositories[?starts_with(repositoryName, 'wharf/')].repositoryName" || true
  aws resourcegroupstaggingapi get-resources --tag-filters Key=application,Values=wharf \
    --query 'ResourceTagMappingList[].ResourceARN' || true
  aws autoscaling describe-auto-scaling-groups --output text \
    --query "AutoScalingGroups[?starts_with(AutoScalingGroupName, 'wharf-')].AutoScalingGroupName" || true
  aws ecs describe-capacity-providers --output text \
    --query "capacityProviders[?starts_with(name, 'wharf-') && status=='ACTIVE'].name" || true
  step 'cost, by the table of prices in lib/constructs/cost.ts'
  hours=$(( ($(date +%s) - started + 3599) / 3600 ))
  npx --no-install tsx --eval "import { idleMonth, total, WHOLE_PLATFORM } from './lib/constructs/cost.ts';
    const hourly = total(idleMonth(WHOLE_PLATFORM)) / 730 + 2 * 0.02;
    console.log('about US\$ ' + (hourly * $hours).toFixed(2) + ' for the ' + $hours + ' h this took, two small instances among it;');
    console.log('what the bill says comes a day later: aws ce get-cost-and-usage');" || true
}

started=$(date +%s)
step 'deployment'
trap leave EXIT
npx --no-install cdk deploy --all -c registryPlainHttp=true --require-approval never
WHARF_URL=$(output Url); export WHARF_URL
WHARF_TOKEN=$(aws secretsmanager get-secret-value --query SecretString --output text \
  --secret-id "$(output AdminTokenSecret)"); export WHARF_TOKEN

step 'a build without RUN, of an image of another registry'
npx --no-install tsx bin/wharf.ts build examples/cdk-dockerfile-image/app -t greeting:1

step 'what the machine of the builder function allows, tried when it was deployed'
npx --no-install tsx bin/wharf.ts doctor

step 'a service, from no instance'
npx --no-install tsx bin/wharf.ts cluster create wharf --instances 1
npx --no-install tsx bin/wharf.ts deploy greeting --cluster wharf --image greeting:1 --count 1

step 'a second release rolled out, and back'
npx --no-install tsx bin/wharf.ts deploy greeting --cluster wharf -e RELEASE=2
npx --no-install tsx bin/wharf.ts rollback greeting --cluster wharf

step 'a build with a RUN, which goes on in a worker'
if [ "$(uname -sm)" = 'Linux aarch64' ] && command -v runc > /dev/null; then
  npm run worker-image -- "$WHARF_URL" "$WHARF_TOKEN"
  printf 'FROM public.ecr.aws/docker/library/busybox:1\nRUN uname -a > /made\n' |
    npx --no-install tsx bin/wharf.ts build -f - examples/cdk-dockerfile-image/app -t made:1
else
  echo 'left out: the worker image is made on an arm64 machine of Debian or Ubuntu, as the instances are'
fi

step 'twelve tasks of no service: two calls of RunTask, and their end'
npx --no-install tsx bin/wharf.ts run greeting:1 --cluster wharf --count 12 -- node --version

step 'a cluster made over the API, where MadeClusters is deployed'
npx --no-install tsx bin/wharf.ts cluster create wharf-verify --instances 1 || echo 'not deployed, or NOT RIGHT: see above'

step 'the contract suites of the adapters, and the distribution API, over S3, DynamoDB and SQS of this account'
region=$(aws configure get region || echo "${AWS_REGION:-us-east-1}")
AWS_REGION=$region WHARF_TEST_S3_ENDPOINT=https://s3.$region.amazonaws.com \
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
front=$(aws cloudformation describe-stacks --stack-name WharfRegistry --output text \
  --query "Stacks[0].Outputs[?contains(OutputKey, 'Url')].OutputValue | [0]")
curl -sS -o /dev/null -D - "$front/v2/" | grep -i '^www-authenticate'
layer=$(mktemp)
head -c 33554432 /dev/urandom > "$layer"
at=$(curl -sS -o /dev/null -D - -X POST -H "Authorization: Bearer $WHARF_TOKEN" "$front/v2/verify/heavy/blobs/uploads/" |
  sed -n 's/^[Ll]ocation: *\([^[:space:]]*\).*/\1/p')
curl -sS -o /dev/null -w '%{http_code}\n' -X PATCH -T - -H "Authorization: Bearer $WHARF_TOKEN" "$front$at" < "$layer"
curl -sS -o /dev/null -w '%{http_code}\n' -X PUT -H "Authorization: Bearer $WHARF_TOKEN" \
  "$front$at?digest=sha256:$(sha256sum "$layer" | cut -d ' ' -f 1)"
rm -f "$layer"

step 'the log of the load balancer: what it writes when logging begins'
logs=$(aws cloudformation describe-stack-resources --stack-name WharfRegistry --output text \
  --query "StackResources[?ResourceType=='AWS::S3::Bucket'].PhysicalResourceId | [0]")
aws s3api list-objects-v2 --bucket "$logs" --max-items 3 --query 'Contents[].Key'

step 'an image of a template: built, and the same the second time'
for turn in 1 2; do
  npx --no-install cdk deploy --require-approval never --app 'npx tsx examples/cdk-dockerfile-lambda/app.ts' Handler
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
