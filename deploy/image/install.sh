#!/bin/sh
# Installs our packages into an environment of their own: install.sh FOLDER [EXTRA...].
# TORCH_INDEX is where PyTorch's build for processors comes from; empty takes the one of the package index.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift

pins() {
    python3 "$here/pins.py" "$@"
}

pip() {
    "$folder/bin/python" -m pip --disable-pip-version-check --no-input --no-cache-dir "$@"
}

python3 -m venv "$folder"
# Also in a dry run: only this pip resolves one without fetching everything.
PIP_DRY_RUN=0 PIP_REPORT='' pip install "$(pins pip)"
if [ -n "${TORCH_INDEX:-}" ]; then
    pip install --no-deps --index-url "$TORCH_INDEX" "$(pins torch)"
fi
wanted="$folder/requirements.txt"
pins parts "$@" > "$wanted"
pip install --constraint "$here/../constraints.txt" --requirement "$wanted"
pip check
