"""What this installation is made of, as CycloneDX: every installed package, and the models that are here.

The same packages and models give the same bytes, so that a digest of them means something: no time, no
random number, a fixed order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import rfc8785
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from muniment import __version__
from workers.engines.catalogue import Model

FORMAT = "CycloneDX 1.6"
LONGEST_LICENCE = 100


def bill(models: Iterable[Model]) -> bytes:
    """Canonical JSON of the bill of materials."""
    made = Bom()
    made.metadata.component = Component(
        name="muniment", version=__version__, type=ComponentType.APPLICATION, bom_ref="muniment"
    )
    found = {name_of(package): package for package in distributions() if package.metadata["Name"]}
    for name in sorted(found):
        made.components.add(_package(name, found[name]))
    for model in models:
        made.components.add(_model(model))
    made.register_dependency(made.metadata.component, made.components)
    return rfc8785.dumps(_without_chance(json.loads(JsonV1Dot6(made).output_as_string())))


def name_of(package: Distribution) -> str:
    return str(package.metadata["Name"]).lower().replace("_", "-").replace(".", "-")


def _package(name: str, package: Distribution) -> Component:
    where = PackageURL("pypi", name=name, version=package.version)
    return Component(
        name=name,
        version=package.version,
        type=ComponentType.LIBRARY,
        purl=where,
        bom_ref=str(where),
        licenses=[licence] if (licence := _licence(package)) else [],
    )


def _licence(package: Distribution) -> License | None:
    if expression := _first(package, "License-Expression"):
        return LicenseExpression(expression)
    text = _first(package, "License")
    if not text or "\n" in text or len(text) > LONGEST_LICENCE:
        text = _first(package, "Classifier", "License ::").rpartition(" :: ")[2]
    return DisjunctiveLicense(name=text) if text else None


def _first(package: Distribution, field: str, start: str = "") -> str:
    lines = package.metadata.get_all(field) or []
    return next((str(line).strip() for line in lines if str(line).startswith(start)), "")


def _model(model: Model) -> Component:
    return Component(
        name=model.name,
        version=model.sha256[:12],
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{model.name}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=model.sha256)],
        licenses=[DisjunctiveLicense(name=model.licence)],
    )


def _without_chance(document: dict[str, Any]) -> dict[str, Any]:
    """Its serial number follows from its content; when it was made is the report's to say."""
    document.pop("serialNumber", None)
    document["metadata"].pop("timestamp", None)
    serial = uuid5(NAMESPACE_URL, rfc8785.dumps(document).hex())
    return document | {"serialNumber": f"urn:uuid:{serial}"}
