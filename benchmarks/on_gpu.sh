#!/usr/bin/env bash
# Measures this machine's GPU in at most eight minutes; README.md beside this file says
# what. Options: benchmarks/on_gpu.sh --help. PYTHON names another Python.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
if ! command -v "$python" >/dev/null; then
  if [ -n "${PYTHON:-}" ]; then
    echo "on_gpu.sh: error: PYTHON=$PYTHON is no program" >&2
    exit 2
  fi
  python=python3
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" "$root/benchmarks/on_gpu.py" "$@"
