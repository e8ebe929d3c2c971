"""The compose file of a site: what is opened, what each container may do, and that it starts our parts."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import Compose

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "compose.yaml").read_text()
EXAMPLE = (ROOT / "deploy" / "env.example").read_text()
# They do one thing and end.
ONCE = {"certificate", "migrate", "models", "move", "roles"}
PARTS = {"web", "ingest", "answer", "upkeep", "sequencer", "engine", "engine-gpu"}
VENDORS = {"proxy", "postgres", "valkey", "qdrant"}
Services = dict[str, dict[str, Any]]


@pytest.mark.parametrize("profiles", ["", "cpu", "gpu", "models", "move", "cpu,models", "gpu,models"])
def test_compose_accepts_it_with_every_profile(profiles: str, compose: Compose) -> None:
    done = compose("config", "-q", COMPOSE_PROFILES=profiles)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_broken_file_would_be_noticed(compose: Compose, tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text(TEXT.replace("read_only: true", "read_onyl: true"))
    done = compose("-f", str(broken), "config", "-q")
    assert done.returncode != 0
    assert "read_onyl" in done.stderr


def test_without_its_one_required_setting_it_says_what_to_do(compose: Compose, tmp_path: Path) -> None:
    empty = tmp_path / ".env"
    empty.touch()
    done = compose("config", "-q", env_file=empty)
    assert done.returncode != 0
    assert "MUNIMENT_SITE_NAME" in done.stderr
    assert "copy deploy/env.example to .env" in done.stderr


def test_the_parts_are_all_there(services: Services) -> None:
    assert set(services) == ONCE | PARTS | VENDORS


def test_one_engine_runs_whatever_the_profile(compose: Compose) -> None:
    for profile, engine in (("cpu", "engine"), ("gpu", "engine-gpu")):
        listed = compose("config", "--services", COMPOSE_PROFILES=profile).stdout.split()
        assert [name for name in listed if name.startswith("engine")] == [engine]
        assert not {"models", "move"} & set(listed)


def test_both_engines_answer_to_the_same_name(services: Services) -> None:
    for name in ("engine", "engine-gpu"):
        assert services[name]["networks"]["model"]["aliases"] == ["engine"]
    (card,) = services["engine-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert card["capabilities"] == ["gpu"]
    assert "GGML_CUDA=ON" in services["engine-gpu"]["build"]["args"]["CMAKE_ARGS"]


def test_pages_come_before_answers_and_answers_before_new_documents(services: Services) -> None:
    """Of a processor that all want, by weight; what names none has 1024."""
    weights = {name: service["cpu_shares"] for name, service in services.items() if "cpu_shares" in service}
    assert weights == {"engine": 256, "engine-gpu": 256, "ingest": 32}


def test_only_the_proxy_is_opened(services: Services) -> None:
    assert [name for name, service in services.items() if service.get("ports")] == ["proxy"]
    assert {port["target"] for port in services["proxy"]["ports"]} == {8080, 8443}
    alone = {"certificate", "models"}
    assert not any("network_mode" in service for name, service in services.items() if name not in alone)
    assert {services[name]["network_mode"] for name in alone} == {"none"}


def test_only_the_proxy_is_on_a_network_that_is_not_internal(site: dict[str, Any]) -> None:
    networks = site["networks"]
    (outside,) = [name for name, network in networks.items() if not network.get("internal")]
    on_it = [name for name, service in site["services"].items() if outside in (service.get("networks") or {})]
    assert on_it == ["proxy"]
    masquerade = networks[outside]["driver_opts"]["com.docker.network.bridge.enable_ip_masquerade"]
    assert masquerade == "false"


@pytest.mark.parametrize(
    ("name", "reached_by"),
    [
        (
            "database",
            {"postgres", "roles", "migrate", "move", "web", "ingest", "answer", "upkeep", "sequencer"},
        ),
        ("broker", {"valkey", "web", "ingest", "answer", "upkeep"}),
        ("index", {"qdrant", "ingest", "answer", "upkeep"}),
        ("model", {"engine", "engine-gpu", "answer", "upkeep"}),
        ("pages", {"proxy", "web"}),
    ],
)
def test_who_shares_a_network_is_who_must(name: str, reached_by: set[str], services: Services) -> None:
    assert {
        other for other, service in services.items() if name in (service.get("networks") or {})
    } == reached_by


def test_every_container_is_caged(services: Services) -> None:
    for name, service in services.items():
        user = service["user"].split(":")
        assert all(int(part) >= 1000 for part in user), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged"), name
        assert not {"pid", "ipc", "userns_mode", "devices"} & set(service), name
        assert service["dns"] == ["127.0.0.1"], name


def test_every_container_has_limits(services: Services) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert float(limits["cpus"]) > 0, name
        assert int(limits["memory"]) > 0, name
        assert limits["pids"] > 0, name
        assert service["logging"]["options"]["max-size"], name
        for mount in service["tmpfs"]:
            assert "size=" in mount, name


def test_a_part_is_restarted_by_us_before_the_container_reaches_its_limit(services: Services) -> None:
    """The supervisor says why; the kernel would not. It takes about 200 MB itself."""
    from workers import processes

    watched = (processes._web, processes._ingest, processes._answer, processes._upkeep, processes._sequencer)
    for part in (make() for make in watched):
        limit = int(services[part.name]["deploy"]["resources"]["limits"]["memory"])
        assert part.memory + 200_000_000 <= limit, part.name


def test_every_container_that_stays_says_whether_it_is_well_and_comes_back(services: Services) -> None:
    for name, service in services.items():
        if name in ONCE:
            assert service["healthcheck"]["disable"] is True, name
            assert service["restart"] in {"no", "on-failure:3"}, name
        else:
            assert service["healthcheck"]["test"][0] == "CMD", name
            assert service["restart"] == "unless-stopped", name


def test_nobody_starts_before_what_it_needs(services: Services) -> None:
    def needs(name: str) -> dict[str, str]:
        return {other: how["condition"] for other, how in services[name].get("depends_on", {}).items()}

    well, done = "service_healthy", "service_completed_successfully"
    assert needs("roles") == {"postgres": well}
    assert needs("migrate") == {"roles": done}
    assert needs("move") == {"migrate": done}
    assert needs("web") == {"migrate": done, "valkey": well}
    assert needs("proxy") == {"certificate": done, "web": well}
    for worker in ("ingest", "answer", "upkeep"):
        assert needs(worker) == {"migrate": done, "valkey": well, "qdrant": well}


def test_images_have_versions(services: Services) -> None:
    for name, service in services.items():
        assert re.fullmatch(r"muniment/[a-z-]+:\d+\.\d+\.\d+", service["image"]), name


def test_images_have_the_version_of_the_application(services: Services) -> None:
    from muniment import __version__

    assert {service["image"].split(":")[-1] for service in services.values()} == {__version__}


def test_a_registry_of_ones_own_gives_every_image_and_every_base(compose: Compose) -> None:
    done = compose(
        "--profile", "*", "config", "--format", "json", MUNIMENT_REGISTRY="registry.example.org:5000/"
    )
    for name, service in json.loads(done.stdout)["services"].items():
        assert service["image"].startswith("registry.example.org:5000/muniment/"), name
        assert service["build"]["args"]["MUNIMENT_REGISTRY"] == "registry.example.org:5000/", name


def test_no_secret_is_in_an_environment(services: Services) -> None:
    for name, service in services.items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|SECRET|_KEY|TOKEN", variable):
                assert variable.endswith("_FILE"), (name, variable)
                assert value.startswith("/run/secrets/"), (name, variable)


def test_a_container_has_the_secrets_that_it_names_and_no_others(services: Services) -> None:
    for name, service in services.items():
        given = {secret["source"] for secret in service.get("secrets") or []}
        named = set(re.findall(r"/run/secrets/(\w+)", str(service.get("environment"))))
        if name in PARTS | {"migrate", "move", "postgres"}:
            assert given == named, name
    assert "secret_key" not in str([services[name].get("secrets") for name in ("ingest", "answer", "upkeep")])


def test_the_key_of_the_log_is_the_sequencers_alone(services: Services) -> None:
    with_it = [name for name, service in services.items() if "muniment-seal" in _volumes(service)]
    assert with_it == ["sequencer"]
    assert services["sequencer"]["environment"]["MUNIMENT_SEAL_DIR"] == "/seal"
    assert _volumes(services["sequencer"]) == {"muniment-seal"}


def _volumes(service: dict[str, Any]) -> set[str]:
    return {f"muniment-{mount['source']}" for mount in service.get("volumes") or []}


def test_the_secrets_are_those_that_are_made(site: dict[str, Any]) -> None:
    made = re.findall(r'^    "(\w+)",$', (ROOT / "deploy" / "site_secrets.py").read_text(), re.MULTILINE)
    assert set(site["secrets"]) == set(made)
    for name, secret in site["secrets"].items():
        assert secret["file"] == str(ROOT / "deploy" / "secrets" / name)


def test_data_lies_in_named_volumes(site: dict[str, Any]) -> None:
    for name, service in site["services"].items():
        for mount in service.get("volumes") or []:
            bound = mount["type"] == "bind"
            assert not bound or mount["read_only"], (name, mount)
    assert all(volume["name"].startswith("muniment-") for volume in site["volumes"].values())


def test_a_vendor_s_server_can_write_into_its_own_data_alone(services: Services) -> None:
    writable = {
        name: [mount["source"] for mount in services[name].get("volumes") or [] if not mount.get("read_only")]
        for name in VENDORS
    }
    assert writable == {
        "proxy": ["authority"],
        "postgres": ["database"],
        "valkey": ["broker"],
        "qdrant": ["index"],
    }


def test_models_are_written_by_the_one_that_brings_them(services: Services) -> None:
    writers = [
        name
        for name, service in services.items()
        for mount in service.get("volumes") or []
        if mount["source"] == "models" and not mount.get("read_only")
    ]
    assert writers == ["models"]


def test_the_shares_are_read_by_upkeep_alone_even_when_they_are_mounted_later(services: Services) -> None:
    mounts = {
        name: mount
        for name, service in services.items()
        for mount in service.get("volumes") or []
        if mount["target"] == "/shares"
    }
    assert set(mounts) == {"upkeep"}
    assert mounts["upkeep"]["read_only"] is True
    assert mounts["upkeep"]["bind"]["propagation"] == "rslave"


def test_a_move_reads_the_old_folder_and_writes_the_data_and_the_database(services: Services) -> None:
    move = services["move"]
    mounts = {mount["target"]: bool(mount.get("read_only")) for mount in move["volumes"]}
    assert mounts == {"/data": False, "/old": True}
    assert move["command"] == ["move-to-site", "/old"]
    assert "muniment_owner@" in move["environment"]["MUNIMENT_DATABASE_URL"]


def test_the_web_believes_the_proxy_at_an_address_that_no_other_container_gets(site: dict[str, Any]) -> None:
    (pool,) = site["networks"]["pages"]["ipam"]["config"]
    proxy = site["services"]["proxy"]["networks"]["pages"]["ipv4_address"]
    assert site["services"]["web"]["environment"]["MUNIMENT_TRUSTED_PROXY"] == proxy
    assert ipaddress.ip_address(proxy) in ipaddress.ip_network(pool["subnet"])
    assert ipaddress.ip_address(proxy) not in ipaddress.ip_network(pool["ip_range"])


def _variables() -> dict[str, str]:
    """Each variable of the compose file with its default."""
    found = re.findall(r"\$\{([A-Z_]+)(?::?-([^}]*))?", TEXT)
    return dict(sorted(found))


def test_the_example_has_every_setting_and_no_other() -> None:
    described = re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.MULTILINE)
    assert len(described) == len(set(described))
    assert set(described) == set(_variables()) | {"COMPOSE_PROFILES"}


def test_the_example_shows_the_values_that_hold_without_it() -> None:
    shown = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE))
    examples = {"MUNIMENT_REGISTRY", "MUNIMENT_PIP_INDEX"}
    for name, value in shown.items():
        assert value == _variables()[name] or name in examples, name


def test_a_default_is_the_same_wherever_it_stands() -> None:
    found = set(re.findall(r"\$\{([A-Z_]+):?-([^}]*)\}", TEXT))
    assert len(found) == len({name for name, _default in found})


def _environment(service: dict[str, Any], tmp_path: Path) -> dict[str, str]:
    """The container's, with its folders in a test's."""
    secrets, run = tmp_path / "secrets", tmp_path / "run"
    subprocess.run([sys.executable, str(ROOT / "deploy" / "site_secrets.py"), str(secrets)], check=True)
    places = {"/run/secrets": str(secrets), "/run/muniment": str(run), "/data": str(tmp_path / "data")}
    found = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'platform'}{os.pathsep}{ROOT}"}
    for name, value in service["environment"].items():
        for place, instead in places.items():
            value = value.replace(place, instead, 1) if value.startswith(place) else value
        found[name] = value
    return found


ASKED = """
import sys, django
django.setup()
from workers import processes
from workers.engines import catalogue
from pathlib import Path
catalogue.path_of = lambda name: Path("/models") / name
(part,) = processes.table(sys.argv[1])
print(part.name, *part.command)
"""


@pytest.mark.parametrize("name", sorted(PARTS))
def test_our_settings_accept_what_a_container_is_told(name: str, services: Services, tmp_path: Path) -> None:
    up, part = services[name]["command"]
    assert up == "up"
    done = subprocess.run(
        [sys.executable, "-c", ASKED, part],
        env={**_environment(services[name], tmp_path), "DJANGO_SETTINGS_MODULE": "workers.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{part} ")
    if part == "engine":
        assert "--host 0.0.0.0 --port 8090" in done.stdout


def test_the_addresses_are_those_of_the_containers(services: Services) -> None:
    for name in ("ingest", "answer", "upkeep"):
        told = services[name]["environment"]
        for variable, other in (
            ("MUNIMENT_DATABASE_URL", "postgres"),
            ("MUNIMENT_BROKER_URL", "valkey"),
            ("MUNIMENT_INDEX_URL", "qdrant"),
            ("MUNIMENT_ENGINE_URL", "engine"),
        ):
            assert re.search(rf"(//|@){other}:\d+", told[variable]), (name, variable)
