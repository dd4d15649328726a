#!/usr/bin/env bash
# Play comparisons and bring the tables of docs/ up to date.
#
#     benchmarks/compare.sh [NAME ...]      # all of benchmarks/*.yaml: some ten hours of two cores
#
# The runs lie in benchmarks/.rlhf. It goes on where it was stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
export RLHF_HOME=${RLHF_HOME:-benchmarks/.rlhf}
if [ $# -eq 0 ]; then
    set -- $(basename -s .yaml benchmarks/*.yaml)
fi
for name in "$@"; do
    # With failed runs its status is 1, and it prints a result all the same.
    status=0
    result=$(rlhf compare "benchmarks/$name.yaml" --json) || status=$?
    [ -n "$result" ] || exit "$status"
    rlhf report "$name" --output "benchmarks/results/$name.md"
    rlhf report "$name" --output "benchmarks/results/$name.json"
done
python benchmarks/tables.py
