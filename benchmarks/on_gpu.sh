#!/usr/bin/env bash
# Measures this machine's GPU in at most eight minutes; README.md beside this file says
# what. Options: benchmarks/on_gpu.sh --help. PYTHON names another Python.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
command -v "$python" >/dev/null || python=python3
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" "$root/benchmarks/on_gpu.py" "$@"
