#!/bin/sh
# Starts the passage index with its two keys, which it takes from its environment only: the file of a key stays
# a secret, and no list of processes shows it. With a certificate in the secrets it serves TLS.
set -eu

secrets=${SECRETS:-/run/secrets}

key() {
    if [ ! -s "$secrets/$1" ]; then
        echo "The secret $1 is missing or empty: run make site-secrets, then start again." >&2
        exit 1
    fi
    tr -d '\n' < "$secrets/$1"
}

QDRANT__SERVICE__API_KEY=$(key index_key)
QDRANT__SERVICE__READ_ONLY_API_KEY=$(key index_read_key)
export QDRANT__SERVICE__API_KEY QDRANT__SERVICE__READ_ONLY_API_KEY
if [ -s "$secrets/index_certificate" ]; then
    export QDRANT__SERVICE__ENABLE_TLS=true
    export QDRANT__TLS__CERT="$secrets/index_certificate"
    export QDRANT__TLS__KEY="$secrets/index_certificate_key"
fi
exec "${QDRANT:-./qdrant}" "$@"
