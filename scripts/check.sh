#!/bin/sh
# Types, lint, format and the order of the folders, in under a minute. `npm run check` calls it.
set -eu
cd "$(dirname "$0")/.."
export NODE_OPTIONS='--experimental-vm-modules --no-warnings'
echo 'check: types';  npx --no-install tsc; npx --no-install tsc -p examples
echo 'check: lint';   npx --no-install oxlint --type-aware --quiet
echo 'check: format'; npx --no-install prettier --check --log-level warn .
echo 'check: order';  npx --no-install jest test/import-order.test.ts --silent
