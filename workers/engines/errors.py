"""What can go wrong with the parts that the engines load. No vendor is imported here."""

from __future__ import annotations


class ModelUnusable(Exception):
    """A language model or embedder on this machine cannot be loaded; the message says what to do."""


class ModelMissing(Exception):
    """The model is not in the catalogue, or not in the models folder."""


class ModelDamaged(Exception):
    """The model's files are not the ones of the catalogue: cut short, or other bytes."""


class NotAModel(Exception):
    """A file or folder cannot be a model, or the name for it cannot be used."""


class CarrierFailed(Exception):
    """A carrier could not bring a model, or brought other bytes; from `fetch`: none could bring it."""


class DiskFull(Exception):
    """There is no room for a model in the models folder."""


class EvaluationFailed(Exception):
    """llama.cpp did not evaluate a batch; the context holds what it held before."""


class EvaluationAborted(Exception):
    """The batch was ended on request; the context holds what it held before."""
