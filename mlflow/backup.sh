#!/usr/bin/env bash
# Back up, restore and upgrade the databases of MLflow, Prefect and labels on PostgreSQL:
#
#     mlflow/backup.sh save FOLDER              a dump of each database as it is at one moment
#     mlflow/backup.sh restore FOLDER           into empty databases of the same names
#     mlflow/backup.sh upgrade                  their tables to those of the installed versions
#
# The server is the one of PGHOST, PGPORT, PGUSER and PGPASSWORD (or a password file, PGPASSFILE);
# the databases are `mlflow`, `prefect` and `labels`, or those of RLHF_DATABASES. Stop the servers
# before `restore` and `upgrade`; `save` needs no stop. Copy artifacts and the store
# after the databases (`aws s3 sync`, `rsync`), and what the databases name is there.
set -euo pipefail

refuse() {
    echo "error: $1" >&2
    exit 2
}

read -ra databases <<<"${RLHF_DATABASES:-mlflow prefect labels}"
action=${1:-} folder=${2:-}
case $action in
    save | restore) [[ -n $folder ]] || refuse "$action: expected a folder, actual: none" ;;
    upgrade) ;;
    -h | --help)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
        exit 0
        ;;
    *) refuse "expected save, restore or upgrade, actual: '$action'" ;;
esac

for database in "${databases[@]}"; do
    file=$folder/$database.dump
    case $action in
        save)
            umask 077
            mkdir -p "$folder"
            pg_dump --format custom --file "$file.part" "$database"
            mv "$file.part" "$file"
            echo "saved $database to $file"
            ;;
        restore)
            [[ -f $file ]] || refuse "$file is not there"
            tables=$(psql --dbname "$database" --tuples-only --no-align --command \
                "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'")
            [[ $tables == 0 ]] || refuse "database $database has $tables tables; create it empty"
            pg_restore --exit-on-error --no-owner --single-transaction --dbname "$database" "$file"
            echo "restored $database from $file"
            ;;
        upgrade)
            # libpq's own variables say where; no password stands in an argument.
            case $database in
                mlflow) mlflow db upgrade "postgresql+psycopg:///$database" ;;
                prefect)
                    url=$(python -c '
import os
from urllib.parse import quote
user, password = (quote(os.environ.get(name, ""), safe="") for name in ("PGUSER", "PGPASSWORD"))
host, port = os.environ.get("PGHOST", "127.0.0.1"), os.environ.get("PGPORT", "5432")
secret = f":{password}" if password else ""
print(f"postgresql+asyncpg://{user}{secret}@{host}:{port}/prefect")')
                    PREFECT_API_DATABASE_CONNECTION_URL=$url prefect server database upgrade --yes
                    ;;
                labels) echo "labels: nothing to upgrade, its tables have had one form so far" ;;
                *) refuse "upgrade: expected mlflow, prefect or labels, actual: $database" ;;
            esac
            ;;
    esac
done
