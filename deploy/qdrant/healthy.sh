#!/bin/bash
# Whether the index is ready to be asked: its image has no other client than the shell.
set -eu

exec 3<> "/dev/tcp/127.0.0.1/${PORT:-6333}"
printf 'GET /readyz HTTP/1.0\r\nHost: index\r\n\r\n' >&3
grep -q '^HTTP/1.. 200' <&3
