#!/usr/bin/env bash
# Everything on services of a team, on this machine: PostgreSQL for MLflow and Prefect, artifacts and
# store on an S3 server, two workers with homes of their own; with kills in the middle.
#
#     benchmarks/cluster.sh [FOLDER]
#
# Needs PostgreSQL (`apt install postgresql`), the extras dask, ray and s3, and moto, which the extra
# dev installs. It prints what it does and compares the numbers; all ends with it. About 15 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PWD/.venv/bin:$PATH
folder=$(mkdir -p "${1:-$(mktemp -d)}" && cd "${1:-$_}" && pwd)
chmod 755 "$folder"
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -1)
postgres_port=25432 s3_port=25900 mlflow_port=25000 prefect_port=24200
password=$(python -c 'import secrets; print(secrets.token_hex(16))')
started=()

note() { printf '%s  %s\n' "$(date +%T)" "$*" | tee -a "$folder/report.txt"; }
fail() { note "FAILED: $*"; exit 1; }
as_postgres() { if [[ $(id -u) == 0 ]]; then runuser -u postgres -- "$@"; else "$@"; fi; }
answers() { curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "$1"; }
await() { for _ in $(seq 120); do answers "$1" && return; sleep 1; done; fail "$1 does not answer"; }
# Each in a group of its own: MLflow's server, for one, is a child of its command.
background() { local name=$1; shift; setsid "$@" >>"$folder/$name.log" 2>&1 & started+=($!); }
end() { local one; for one in "${@:2}"; do kill "$1" -- "-$one" 2>/dev/null || true; done; }
postgres() { as_postgres "$bin/pg_ctl" -s -D "$folder/postgres" "$@" -l "$folder/postgres/log" -w; }
finish() {
    trap - EXIT
    end -TERM "${started[@]}"
    sleep 5 # A worker waits for what it plays, and for a server that is gone.
    end -KILL "${started[@]}"
    postgres stop -m fast 2>/dev/null || true
}
trap finish EXIT

# The services.
mkdir -p "$folder/postgres"
echo "$password" >"$folder/password"
if [[ $(id -u) == 0 ]]; then chown -R postgres "$folder/postgres" "$folder/password"; fi
as_postgres "$bin/initdb" -D "$folder/postgres" -U rlhf --pwfile="$folder/password" -A scram-sha-256 >/dev/null
rm "$folder/password"
start_postgres() {
    postgres start -o "-p $postgres_port -c listen_addresses=127.0.0.1 -k $folder/postgres"
}
start_postgres
export PGPASSWORD=$password
for name in mlflow prefect labels; do
    "$bin/createdb" -h 127.0.0.1 -p $postgres_port -U rlhf "$name"
done
database=rlhf:$password@127.0.0.1:$postgres_port

export AWS_ACCESS_KEY_ID=team AWS_SECRET_ACCESS_KEY=$password AWS_DEFAULT_REGION=us-east-1
export AWS_ENDPOINT_URL=http://127.0.0.1:$s3_port MLFLOW_S3_ENDPOINT_URL=http://127.0.0.1:$s3_port
background s3 moto_server -H 127.0.0.1 -p $s3_port
await "$AWS_ENDPOINT_URL/moto-api/"
python -c 'import boto3; boto3.client("s3").create_bucket(Bucket="team")'

start_mlflow() {
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false background mlflow mlflow server --host 127.0.0.1 \
        --port $mlflow_port --workers 1 --backend-store-uri "postgresql+psycopg://$database/mlflow" \
        --artifacts-destination s3://team/mlflow
    mlflow_process=${started[-1]}
    await "http://127.0.0.1:$mlflow_port/health"
}
start_mlflow
export PREFECT_HOME=$folder/prefect PREFECT_SERVER_ANALYTICS_ENABLED=false DO_NOT_TRACK=true
PREFECT_API_DATABASE_CONNECTION_URL=postgresql+asyncpg://$database/prefect \
    background prefect prefect server start --host 127.0.0.1 --port $prefect_port
prefect_process=${started[-1]}
await "http://127.0.0.1:$prefect_port/api/health"

export PREFECT_API_URL=http://127.0.0.1:$prefect_port/api
export MLFLOW_TRACKING_URI=http://127.0.0.1:$mlflow_port
export RLHF_STORE=s3://team/store OMP_NUM_THREADS=1
prefect work-pool create cluster --type process >/dev/null
worker() {
    mkdir -p "$folder/worker$1"
    (cd "$folder/worker$1" && exec env -u RLHF_HOME setsid prefect worker start --pool cluster \
        --name "worker$1" --limit 1) >>"$folder/worker$1.log" 2>&1 &
    started+=($!)
    declare -g "worker$1=$!"
}
worker 1
worker 2
note "PostgreSQL, S3, MLflow and Prefect answer, two workers are up"

# One comparison of six runs, on every runner.
cat >"$folder/six.yaml" <<'YAML'
name: six
experiment:
  name: six
  environment: {id: Pendulum-v1, count: 8}
  feedback: {kind: preference, segment_steps: 25}
  optimiser: {kind: ppo, steps: 64, hidden: [32, 32]}
  budget: {env_steps: 20480, labels: 40, rounds: 4, initial_steps: 3200}
  evaluation: {episodes: 10}
vary: {feedback.kind: [preference, true_reward]}
seeds: 3
YAML
runner() {
    local name=$1; shift
    sed "s/^name: six$/name: six-$name/" "$folder/six.yaml" >"$folder/$name.yaml"
    rlhf compare "$folder/$name.yaml" --runner "$@" --home "$folder/home-$name" --json \
        >"$folder/$name.json" 2>"$folder/$name.err" || fail "$name: $(tail -3 "$folder/$name.err")"
    note "compare on $name: $(seconds "$name") s"
}
numbers() {
    python - "$folder/$1.json" <<'PYTHON'
import json, sys
runs = json.load(open(sys.argv[1]))["runs"]
print(sorted((run["cell"], run["seed"], run["true_return"]) for run in runs))
PYTHON
}
seconds() { python -c 'import json, sys; print(json.load(open(sys.argv[1]))["seconds"])' "$folder/$1.json"; }
same() {
    local ours expected
    ours=$(numbers "$1")
    expected=$(numbers local)
    [[ $ours == "$expected" ]] || fail "the numbers of $1 differ from local's"
}

# Runs of equal content are not played twice: each runner begins with a tracking server without any.
forget() {
    python - <<'PYTHON'
from mlflow import MlflowClient

client = MlflowClient()
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id], max_results=1000):
        client.delete_run(run.info.run_id)
PYTHON
}
runner local local
for kind in processes dask ray; do
    forget
    runner $kind $kind --workers 2
    same $kind
done
forget
runner pool work-pool:cluster
same pool
note "the six numbers are equal, bit for bit, on local, processes, dask, ray and the work pool"

# A worker is killed with the run that it plays; MLflow and the database are lost for a while.
forget
runner broken work-pool:cluster --workers 2 &
broken=$!
sleep 25
note "SIGKILL of worker 1 and of what it plays"
end -KILL "$worker1"
sleep 20
note "MLflow is killed for 15 seconds"
end -KILL "$mlflow_process"
sleep 15
start_mlflow
sleep 10
note "PostgreSQL is stopped for 10 seconds"
postgres stop -m fast
sleep 10
start_postgres
wait $broken
same broken
note "with a worker, MLflow and the database lost in between, the numbers are the same"
worker 3

# What else there is, once.
export RLHF_HOME=$folder/home
small=(--set budget.env_steps=50000 --set budget.labels=40)
rlhf train pendulum-preference "${small[@]}" --json >"$folder/train.json" || fail train
note "train: $(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["true_return_mean"])' "$folder/train.json")"
cat >"$folder/sweep.yaml" <<YAML
name: cluster-sweep
experiment: $folder/experiment.yaml
space: {optimiser.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}
trials: 4
seeds: 3
best: 1
final_seeds: 3
YAML
python - "$folder" <<'PYTHON'
import sys, yaml
folder = sys.argv[1]
six = yaml.safe_load(open(f"{folder}/six.yaml"))
yaml.safe_dump(six["experiment"], open(f"{folder}/experiment.yaml", "w"))
PYTHON
rlhf sweep "$folder/sweep.yaml" --runner work-pool:cluster --workers 2 --json >"$folder/sweep.json" || fail sweep
note "sweep: $(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["answer"])' "$folder/sweep.json")"
rlhf retrain "$folder/experiment.yaml" --model cluster --episodes 20 --json >"$folder/retrain.json" || fail retrain
note "retrain: $(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["outcome"])' "$folder/retrain.json")"
cat >"$folder/schedules.yaml" <<YAML
schedules:
- {name: often, experiment: $folder/experiment.yaml, every: 1m}
YAML
rlhf schedule apply "$folder/schedules.yaml" --work-pool cluster --yes >>"$folder/report.txt" || fail schedule
sleep 150
runs() { # that MLflow has, of those that a rule is true of
    python - "$1" <<'PYTHON'
import sys
from mlflow import MlflowClient

client = MlflowClient()
experiments = [one.experiment_id for one in client.search_experiments()]
print(len(client.search_runs(experiments, sys.argv[1], max_results=1000)))
PYTHON
}
scheduled=$(runs "tags.\`rlhf.schedule\` = 'often' AND attributes.status = 'FINISHED'")
[[ $scheduled != 0 ]] || fail "no scheduled run is finished"
note "schedule: $scheduled runs are finished"

# Backup, restore and upgrade, into databases that were dropped and made again.
before=$(runs "")
export PGHOST=127.0.0.1 PGPORT=$postgres_port PGUSER=rlhf
mlflow/backup.sh save "$folder/backup" >>"$folder/report.txt"
end -TERM "$mlflow_process" "$prefect_process"
sleep 5
for name in mlflow prefect labels; do
    "$bin/dropdb" --force "$name"
    "$bin/createdb" "$name"
done
mlflow/backup.sh restore "$folder/backup" >>"$folder/report.txt"
mlflow/backup.sh upgrade >>"$folder/upgrade.log" 2>&1 || fail "upgrade: $(tail -2 "$folder/upgrade.log")"
start_mlflow
after=$(runs "")
[[ $after == "$before" ]] || fail "$after runs after the restore, $before before"
note "backup, restore and upgrade: $before runs before and after"
note "done"
