#!/usr/bin/env bash
# Opens the main job's output in other languages' readers and recomputes what it claims.
# Needs Python 3.11 or newer; installs the pinned readers into .cache/interop once. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=.cache/interop
requirements=test/interop/requirements.txt
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
  rm -rf "$venv"
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$requirements"
  cp "$requirements" "$venv/requirements.txt"
fi

# Does nothing where the output is complete.
node bin/pipeline.js run pipelines/select.yaml --log-format json --quiet
"$venv/bin/python" -m pytest -q test/interop "$@"
