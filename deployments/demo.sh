#!/usr/bin/env bash
# `make demo`: converts a small library of real clips, or the one in LIBRARY, without touching it.
set -euo pipefail
cd "$(dirname "$0")/.."
export DARKSTREAM_HOME="${DARKSTREAM_HOME:-$PWD/.demo/home}"
out="${OUT:-$PWD/.demo/converted}"
if [ -n "${LIBRARY:-}" ]; then
  library="${LIBRARY/#\~\//$HOME/}" # a shell that leaves a quoted ~ alone
else
  library="$PWD/.demo/library"
  "$BIN/python" -m benchmarks.clips "$library"
fi
mkdir -p .demo
"$BIN/darkstream" run "$library" --preset "${PRESET:-web}" --to "$out" --report .demo/report.jsonl
echo
echo "To look at the runs: DARKSTREAM_HOME=$DARKSTREAM_HOME $BIN/darkstream up"
