#!/bin/sh
# Starts the broker with the users of users.acl. They are written at each start from the secrets, so that a new
# password or a new version of this file needs no step by hand. Only hashes are written.
set -eu

secrets=${SECRETS:-/run/secrets}
run=${RUN:-/run/valkey}
here=$(dirname "$0")

hash_of() {
    if [ ! -s "$secrets/$1" ]; then
        echo "The secret $1 is missing or empty: run make site-secrets, then start again." >&2
        exit 1
    fi
    tr -d '\n' < "$secrets/$1" | sha256sum | cut -d ' ' -f 1
}

web=$(hash_of broker_web_password)
worker=$(hash_of broker_worker_password)
umask 077
sed -e "s/@broker_web_password@/$web/" -e "s/@broker_worker_password@/$worker/" "$here/users.acl" > "$run/users.acl"
exec valkey-server "$here/valkey.conf" --aclfile "$run/users.acl" --dir "${DATA:-/data}" "$@"
