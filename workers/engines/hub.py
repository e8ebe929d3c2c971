"""The child process that alone speaks to the publisher's hub: hub.py REPOSITORY REVISION FOLDER PATH...

A process of its own, because the offline switches are read when `huggingface_hub` is imported
and everywhere else they must stay on. Its caller watches it and ends it when nothing moves.
"""

import sys


def main() -> int:
    repository, revision, folder, *paths = sys.argv[1:]
    from huggingface_hub import hf_hub_download

    try:
        for path in paths:
            hf_hub_download(repository, path, revision=revision, local_dir=folder)
    except Exception as problem:
        # Whatever went wrong there, the caller tries the next carrier and shows this line.
        sys.stderr.write(f"{type(problem).__name__}: {str(problem).strip().splitlines()[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
