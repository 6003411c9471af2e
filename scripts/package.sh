#!/bin/sh
# Makes the npm package: the sources, which the command runs from, and beside them JavaScript with types for those who
# import the constructs, the client or the engine.
#   scripts/package.sh [folder]   where the tarball goes; this folder when absent
set -eu
cd "$(dirname "$0")/.."
rm -rf dist/lib dist/lambdas
npx --no-install tsc -p tsconfig.package.json
npm pack --silent --pack-destination "${1:-.}"
