#!/bin/sh
# Installs what our parts need from the system: system.sh build|run.
# OCR_LANGUAGES names the languages in which scans are recognised, as in deu+eng.
set -eu

case "$1" in
    build) packages="g++" ;;
    run)
        packages="libgomp1 tesseract-ocr-osd"
        for language in $(echo "${OCR_LANGUAGES:-eng}" | tr '+_' ' -'); do
            packages="$packages tesseract-ocr-$language"
        done
        ;;
    *)
        echo "Usage: system.sh build|run" >&2
        exit 2
        ;;
esac
if ! command -v python3 > /dev/null; then
    packages="$packages python3 python3-venv"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
# shellcheck disable=SC2086  # a list of names
apt-get -q install -y --no-install-recommends $packages
rm -rf "${ROOT:-}/var/lib/apt/lists"/*
