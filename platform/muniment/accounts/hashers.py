"""How passwords are hashed."""

from __future__ import annotations

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes and one lane.

    Django's own parameters take 100 MiB for each sign-in, more than the whole web process needs otherwise.
    """

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1
