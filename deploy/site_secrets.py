"""Makes the secrets of a site: python3 deploy/site_secrets.py [FOLDER]. `make site-secrets` calls it.

Only the standard library. Each secret is a file that nobody but the account of the containers can read.
One that is there already is left alone: to change a secret, remove its file, run this and start again.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "deploy" / "secrets"
ENVIRONMENT = ROOT / ".env"
ACCOUNT = 10001
NAMES = (
    "secret_key",
    "database_password",
    "database_owner_password",
    "database_web_password",
    "database_worker_password",
    "database_sequencer_password",
    "broker_web_password",
    "broker_worker_password",
    "index_key",
    "index_read_key",
    "model_key",
)
# 43 characters that no shell, address or configuration file reads as anything else.
BYTES = 32
SHORTEST = 24


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    try:
        made = make(folder)
        weak = [name for name in NAMES if len((folder / name).read_text().strip()) < SHORTEST]
    except OSError as problem:
        sys.stderr.write(f"{problem.filename} cannot be used ({problem.strerror}): run this as its owner.\n")
        return 1
    if weak:
        sys.stderr.write(f"Too short to be safe: {', '.join(weak)}. Remove these files and run this again.\n")
        return 1
    kept = len(NAMES) - len(made)
    print(f"{len(made)} secrets made, {kept} kept, in {folder}. Keep a copy where only you can read it.")
    if advice := advice_for(account_of(ENVIRONMENT)):
        print(advice)
    return 0


def make(folder: Path) -> list[str]:
    """Make what is missing; gives the names. All end with mode 600, with the account of the containers."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    made = [name for name in NAMES if _write_new(folder / name, secrets.token_urlsafe(BYTES))]
    for path in (folder / name for name in NAMES):
        path.chmod(0o600)
        if os.geteuid() == 0:
            account = account_of(ENVIRONMENT)
            os.chown(path, account, account)
    return made


def _write_new(path: Path, secret: str) -> bool:
    """Write a file whole or not at all, and never over another."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(fresh, path)
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True


def account_of(environment: Path) -> int:
    """The account of the containers: MUNIMENT_UID of the environment or of the file .env."""
    text = environment.read_text() if environment.exists() else ""
    found = re.findall(r"^MUNIMENT_UID=(\d+)\s*$", text, re.MULTILINE)
    return int(os.environ.get("MUNIMENT_UID") or (found[-1] if found else ACCOUNT))


def advice_for(account: int) -> str:
    """What else must be done so that the containers can read the files; empty when nothing."""
    me = os.geteuid()
    if me in (0, account):
        return ""
    return f"The containers run as account {account}, the files are yours: set MUNIMENT_UID={me} in .env."


if __name__ == "__main__":
    sys.exit(main())
