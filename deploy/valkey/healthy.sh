#!/bin/bash
# Whether the broker answers; it does not while it reads its file. The password stays out of the process list.
set -eu

password=$(cat "${SECRETS:-/run/secrets}/broker_web_password")
exec 3<> "/dev/tcp/127.0.0.1/${PORT:-6379}"
printf 'AUTH web %s\r\nPING\r\nQUIT\r\n' "$password" >&3
grep -q PONG <&3
