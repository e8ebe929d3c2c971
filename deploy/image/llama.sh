#!/bin/sh
# Compiles llama.cpp into an environment that install.sh made: llama.sh FOLDER.
# An image runs on other machines than the one that built it: CMAKE_ARGS says for which.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$1

pins() {
    python3 "$here/pins.py" "$@"
}

pip() {
    "$folder/bin/python" -m pip --disable-pip-version-check --no-input --no-cache-dir "$@"
}

tools=$(mktemp -d)
pins build-tools > "$tools/requirements.txt"
pip install --target "$tools" --requirement "$tools/requirements.txt"
CMAKE_ARGS=$(pins cmake-args)
export CMAKE_ARGS CMAKE_GENERATOR=Ninja PYTHONPATH="$tools" PATH="$tools/bin:$PATH"
pip install --no-build-isolation --no-binary=llama-cpp-python \
    --constraint "$here/../constraints.txt" "$(pins llama)"
unset PYTHONPATH
rm -rf "$tools"
pip check
