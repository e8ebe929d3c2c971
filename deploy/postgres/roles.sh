#!/bin/sh
# Makes roles and database of a site, or sets them right again after a change of passwords. PGHOST names the
# server, SECRETS the folder of the secrets.
set -eu

secrets=${SECRETS:-/run/secrets}
here=$(dirname "$0")
for name in database_password database_owner_password database_web_password database_worker_password \
    database_sequencer_password; do
    if [ ! -s "$secrets/$name" ]; then
        echo "The secret $name is missing or empty: run make site-secrets, then start again." >&2
        exit 1
    fi
done

PGPASSWORD=$(cat "$secrets/database_password")
export PGPASSWORD
exec psql --no-psqlrc --quiet --username=postgres --dbname=postgres \
    --file="$here/passwords.sql" --file="$here/roles.sql"
