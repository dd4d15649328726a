#!/usr/bin/env bash
# What MLproject runs: `rlhf train` or `rlhf compare` on one preset or file. `mlflow run` hands over
# the parameters that MLproject does not declare as `--NAME VALUE`; each is a field of the experiment.
#
# Files are looked for, and runs kept, in the folder above this one, or where RLHF_HOME says.
set -euo pipefail

command=$1 subject=$2
shift 2
options=()
while (($#)); do
    options+=(--set "${1#--}=$2")
    shift 2
done

# Relative to where `mlflow run` was called, which began in another folder than this script.
cd "$(dirname "$0")/.."
if ! command -v rlhf >/dev/null; then
    echo "rlhf is not on the PATH: activate the environment that it is installed in (source .venv/bin/activate), and use --env-manager local" >&2
    exit 2
fi
exec rlhf "$command" "$subject" ${options[@]+"${options[@]}"}
