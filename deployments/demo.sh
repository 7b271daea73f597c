#!/usr/bin/env bash
# `make demo`: converts a small library of real clips, or the one in LIBRARY, without touching it.
# What it makes lies in DEMO, the results in OUT where that is given.
set -euo pipefail
cd "$(dirname "$0")/.."
demo="${DEMO:-$PWD/.demo}"
export DARKSTREAM_HOME="${DARKSTREAM_HOME:-$demo/home}"
out="${OUT:-$demo/converted}"
library="${LIBRARY:-$demo/library}"
out="${out/#\~\//$HOME/}" # a shell that leaves a quoted ~ alone
library="${library/#\~\//$HOME/}"
mkdir -p "$demo"
if [ -z "${LIBRARY:-}" ]; then
  "$BIN/python" -m benchmarks.clips "$library"
fi
"$BIN/darkstream" run "$library" --preset "${PRESET:-web}" --to "$out" --report "$demo/report.jsonl"
echo
echo "To look at the runs: DARKSTREAM_HOME=$DARKSTREAM_HOME $BIN/darkstream up"
