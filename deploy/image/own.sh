#!/bin/sh
# Makes the account that a container runs as, and folders that it owns: own.sh UID FOLDER...
# A named volume takes its owner from the folder that it is mounted on.
set -eu

uid=$1
shift
root=${ROOT:-}
grep -q "^[^:]*:[^:]*:$uid:" "$root/etc/passwd" ||
    echo "muniment:x:$uid:$uid::/tmp:/usr/sbin/nologin" >> "$root/etc/passwd"
grep -q "^[^:]*:[^:]*:$uid:" "$root/etc/group" || echo "muniment:x:$uid:" >> "$root/etc/group"
for folder in "$@"; do
    mkdir -p "$root$folder"
    chown "$uid:$uid" "$root$folder"
    chmod 700 "$root$folder"
done
