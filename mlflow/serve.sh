#!/usr/bin/env bash
# A tracking server of your own, with its database and artifacts in one folder:
#
#     mlflow/serve.sh [--folder DIR] [--port PORT] [--artifacts URL]
#     mlflow/serve.sh --host HOST --protected-by basic-auth|proxy [--allowed-hosts NAMES] ...
#
# It prints the line that lets `rlhf` use it, once it answers. Ctrl-C ends it.
#
# The database is a file in the folder, or the one that MLFLOW_BACKEND_STORE_URI names, such as
# postgresql+psycopg://rlhf@127.0.0.1/mlflow (with PGPASSWORD or a password file, so that no password
# stands in an address). --artifacts names a bucket, such as s3://team/mlflow, in place of the folder.
#
# MLflow asks nobody for a password: whoever reaches the server reads, changes and deletes every run,
# and an artifact can be code. So it listens on this machine alone, unless you say what protects it:
#   basic-auth  MLflow's own accounts. Needs `pip install 'mlflow[auth]'`, a file with an admin
#               password of yours (MLFLOW_AUTH_CONFIG_PATH) and MLFLOW_FLASK_SERVER_SECRET_KEY.
#   proxy       a reverse proxy of yours that asks who it is, and alone reaches HOST.
set -euo pipefail

refuse() {
    echo "error: $1" >&2
    exit 2
}

folder=tracking host=127.0.0.1 port=5000 protection="" allowed="" artifacts=""
while (($#)); do
    case $1 in
        --folder | --host | --port | --protected-by | --allowed-hosts | --artifacts)
            (($# > 1)) || refuse "$1: expected a value, actual: none"
            case $1 in
                --folder) folder=$2 ;;
                --host) host=$2 ;;
                --port) port=$2 ;;
                --protected-by) protection=$2 ;;
                --allowed-hosts) allowed=$2 ;;
                --artifacts) artifacts=$2 ;;
            esac
            shift 2
            ;;
        -h | --help)
            sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
            exit 0
            ;;
        *) refuse "unknown argument '$1'; expected --folder, --host, --port, --artifacts, --protected-by or --allowed-hosts" ;;
    esac
done
[[ $port =~ ^[0-9]+$ ]] && ((port >= 1 && port <= 65535)) ||
    refuse "--port: expected a number from 1 to 65535, actual: '$port'"

app=()
case $host in
    127.0.0.1 | localhost | ::1) ;;
    *)
        case $protection in
            basic-auth)
                [[ -f ${MLFLOW_AUTH_CONFIG_PATH:-} ]] ||
                    refuse "MLFLOW_AUTH_CONFIG_PATH: expected a file with an admin password of yours (basic_auth.ini), actual: '${MLFLOW_AUTH_CONFIG_PATH:-}'"
                [[ -n ${MLFLOW_FLASK_SERVER_SECRET_KEY:-} ]] ||
                    refuse "MLFLOW_FLASK_SERVER_SECRET_KEY: expected a long random text, actual: none"
                app=(--app-name basic-auth)
                ;;
            proxy) ;;
            *) refuse "--host $host: expected --protected-by basic-auth or proxy, since MLflow lets everybody who reaches it read, change and delete every run, actual: '${protection}'" ;;
        esac
        ;;
esac
[[ -z $allowed ]] || app+=(--allowed-hosts "$allowed")
command -v mlflow >/dev/null ||
    refuse "mlflow is not on the PATH: activate the environment that it is installed in (source .venv/bin/activate)"

# What answers there would else be taken for the server that is started below.
if (exec 3<>"/dev/tcp/$host/$port") 2>/dev/null; then
    refuse "--port $port: something listens there already; choose another"
fi
umask 077
mkdir -p "$folder/artifacts"
folder=$(cd "$folder" && pwd)
# Background jobs would be further processes, and runs need none. MLflow and Prefect report nothing.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false DO_NOT_TRACK=true
unset MLFLOW_TRACKING_URI
# MLflow reads it, so that an address with a password stands in no list of processes.
export MLFLOW_BACKEND_STORE_URI=${MLFLOW_BACKEND_STORE_URI:-sqlite:///$folder/mlflow.db}
mlflow server --host "$host" --port "$port" --workers 1 \
    --artifacts-destination "${artifacts:-$folder/artifacts}" ${app[@]+"${app[@]}"} \
    >"$folder/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM

url=http://$host:$port
[[ $host != *:* ]] || url=http://[$host]:$port
until curl --silent --fail --noproxy '*' --max-time 5 --output /dev/null "$url/health"; do
    kill -0 "$server" 2>/dev/null || refuse "the server did not start at $url; see $folder/server.log"
    sleep 0.5
done
echo "export MLFLOW_TRACKING_URI=$url"
wait "$server"
