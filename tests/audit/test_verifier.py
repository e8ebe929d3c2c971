"""The verifier: whole bundles are whole to two implementations, and any change is found and placed."""

from __future__ import annotations

import base64
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.audit import actions, bundles, verifier
from muniment.audit.bundles import NothingSealed, Trail
from muniment.audit.models import AuditEvent
from muniment.audit.services import record_alone
from muniment.audit.verifier import NotWholeError
from tests.audit import second
from tests.audit.sealed import Sealer
from tests.audit.test_event import a_scope
from tests.upkeep.installation import ROOT

PROGRAM = ROOT / "platform" / "muniment" / "audit" / "verifier.py"


class Site:
    """Two tenants' logs of some events, sealed in several passes."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sealer = folder, Sealer(folder / "seal")
        self.mine, self.other = a_scope(), a_scope()
        self.go_on(3)

    def go_on(self, passes: int) -> None:
        for number in range(passes):
            for _n in range(number + 1):
                record_alone(self.mine, actions.SEARCHED, private={"query": "Grüße ☂"})
            record_alone(self.other, actions.SEARCHED, details={"hits": number})
            self.sealer.all()

    def bundle(self, name: str = "bundle", **chosen: Any) -> Path:
        folder = self.folder / name
        bundles.write(Trail.now(**chosen), folder)
        return folder


@pytest.fixture
def site(db: None, tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def bundle(site: Site) -> Path:
    return site.bundle()


def verdict(folder: Path) -> str:
    """What the first verifier says is wrong; both must be of one mind."""
    try:
        verifier.check_bundle(folder)
        said = ""
    except NotWholeError as problem:
        said = str(problem)
    assert second.is_whole(folder) == (not said), said
    return said


def sum_again(folder: Path) -> None:
    """As somebody who changes a bundle would: the list of hashes fits again."""
    sums = [
        f"{verifier.sha256_of(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in folder.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(sorted(sums, key=lambda line: line[66:])))


def test_a_whole_bundle_is_whole(site: Site) -> None:
    folder = site.bundle()
    assert verdict(folder) == ""
    found = verifier.check_bundle(folder)
    assert (found.events, found.leaves, found.logs, found.checkpoints) == (9, 9, 2, 9)
    assert found.key and found.key.fingerprint == site.sealer.key.public.fingerprint
    bodies = (folder / "logs" / str(site.mine.tenant) / "events.jsonl").read_bytes().splitlines()
    events = AuditEvent.objects.filter(tenant=site.mine.tenant).order_by("occurred_at")
    assert bodies == [bytes(event.body) for event in events]


def test_what_is_sealed_later_is_in_the_next_bundle(site: Site) -> None:
    trail = Trail.now()
    site.go_on(2)
    bundles.write(trail, site.folder / "before")
    assert verdict(site.folder / "before") == ""
    assert verifier.check_bundle(site.folder / "before").events == 9
    assert verifier.check_bundle(site.bundle("after")).events == 14


def test_nothing_sealed_is_whole(db: None, tmp_path: Path) -> None:
    bundles.write(Trail.now(), tmp_path / "empty")
    assert verdict(tmp_path / "empty") == ""


def test_one_tenant_s_bundle_shows_nothing_of_another(site: Site) -> None:
    folder = site.bundle(tenants=[site.other.tenant])
    assert verdict(folder) == ""
    found = verifier.check_bundle(folder)
    assert (found.events, found.others) == (3, 3)
    text = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert str(site.mine.tenant).encode() not in text


def test_a_part_of_the_time_has_the_hashes_of_the_rest(site: Site) -> None:
    events = AuditEvent.objects.filter(tenant=site.mine.tenant).order_by("occurred_at")
    since = events[2].occurred_at
    folder = site.bundle(since=since, until=datetime.now(UTC) + timedelta(hours=1))
    assert verdict(folder) == ""
    found = verifier.check_bundle(folder)
    assert (found.events, found.leaves) == (6, 9)


def test_a_folder_that_holds_something_is_not_written_into(site: Site) -> None:
    folder = site.bundle()
    with pytest.raises(FileExistsError):
        bundles.write(Trail.now(), folder)


BATTERY: dict[str, tuple[Callable[[Path, Path], None], str]] = {}


def tampering(expected: str) -> Callable[[Callable[[Path, Path], None]], Callable[[Path, Path], None]]:
    """A change by somebody who also sets the sums right; `expected` is a part of what is said."""

    def keep(change: Callable[[Path, Path], None]) -> Callable[[Path, Path], None]:
        BATTERY[change.__name__.replace("_", " ")] = (change, expected)
        return change

    return keep


def _edit(path: Path, change: Callable[[list[bytes]], Any]) -> None:
    lines = path.read_bytes().splitlines()
    change(lines)
    path.write_bytes(b"".join(line + b"\n" for line in lines))


@tampering("event number 2 of the log")
def an_event_is_changed(log: Path, other: Path) -> None:
    def change(lines: list[bytes]) -> None:
        lines[2] = lines[2].replace(b'"done"', b'"gone"')

    _edit(log / "events.jsonl", change)


@tampering("event number 2 of the log")
def an_event_is_removed(log: Path, other: Path) -> None:
    _edit(log / "events.jsonl", lambda lines: lines.pop(2))


@tampering("event number 2 of the log")
def an_event_is_removed_with_its_number(log: Path, other: Path) -> None:
    _edit(log / "events.jsonl", lambda lines: lines.pop(2))
    _edit(log / "numbers", lambda lines: lines.pop(2))


@tampering("events number 1 to 2 of the log")
def an_event_and_its_leaf_are_changed(log: Path, other: Path) -> None:
    an_event_is_changed(log, other)
    body = (log / "events.jsonl").read_bytes().splitlines()[2]

    def change(lines: list[bytes]) -> None:
        lines[2] = verifier._leaf(body).hex().encode()

    _edit(log / "leaves", change)


@tampering("events number 1 to 2 of the log")
def an_event_is_removed_with_its_leaf(log: Path, other: Path) -> None:
    for name in ("events.jsonl", "leaves"):
        _edit(log / name, lambda lines: lines.pop(2))
    _edit(log / "numbers", lambda lines: lines.pop())


@tampering("event number 1 of the log")
def two_events_change_places(log: Path, other: Path) -> None:
    def swap(lines: list[bytes]) -> None:
        lines[1], lines[2] = lines[2], lines[1]

    _edit(log / "events.jsonl", swap)


@tampering("event number 6 is not in the log")
def an_event_is_added(log: Path, other: Path) -> None:
    _edit(log / "events.jsonl", lambda lines: lines.append(lines[0].replace(b'"done"', b'"gone"')))
    _edit(log / "numbers", lambda lines: lines.append(b"6"))


@tampering("has no number")
def an_event_is_added_without_a_number(log: Path, other: Path) -> None:
    _edit(log / "events.jsonl", lambda lines: lines.append(lines[0]))


@tampering("event number 6 of the log")
def an_event_is_added_with_its_leaf(log: Path, other: Path) -> None:
    added = (log / "events.jsonl").read_bytes().splitlines()[0].replace(b'"done"', b'"gone"')
    _edit(log / "events.jsonl", lambda lines: lines.append(added))
    _edit(log / "numbers", lambda lines: lines.append(b"6"))
    _edit(log / "leaves", lambda lines: lines.append(verifier._leaf(added).hex().encode()))


@tampering("a checkpoint of size 6")
def the_end_is_cut_off(log: Path, other: Path) -> None:
    for name in ("events.jsonl", "numbers", "leaves"):
        _edit(log / name, lambda lines: lines.pop())


@tampering("a checkpoint is missing that the site's log holds as number")
def the_end_is_cut_off_with_its_checkpoint(log: Path, other: Path) -> None:
    for name in ("events.jsonl", "numbers", "leaves"):
        _edit(log / name, lambda lines: lines.__delitem__(slice(3, None)))
    _edit(log / "checkpoints", lambda lines: lines.pop())


@tampering("a checkpoint is missing that the site's log holds as number")
def a_log_is_left_out(log: Path, other: Path) -> None:
    shutil.rmtree(other)
    manifest = json.loads((log.parent.parent / "manifest.json").read_bytes())
    manifest["logs"].remove(other.name)
    (log.parent.parent / "manifest.json").write_bytes(verifier.written(manifest) + b"\n")


@tampering("is not in the site's log")
def the_end_is_cut_off_in_the_site_s_log_too(log: Path, other: Path) -> None:
    for name in ("leaves", "checkpoints"):
        # Two leaves a pass, one checkpoint.
        for _n in range(2 if name == "leaves" else 1):
            _edit(log.parent.parent / "site" / name, lambda lines: lines.pop())


@tampering("of another log")
def a_log_is_put_in_the_place_of_another(log: Path, other: Path) -> None:
    shutil.rmtree(log)
    shutil.copytree(other, log)


@tampering("is not the one that was sealed")
def an_event_of_another_log_is_grafted(log: Path, other: Path) -> None:
    foreign = (other / "events.jsonl").read_bytes().splitlines()[0]
    _edit(log / "events.jsonl", lambda lines: lines.__setitem__(0, foreign))


@tampering("does not fit")
def a_checkpoint_is_changed(log: Path, other: Path) -> None:
    def change(lines: list[bytes]) -> None:
        lines[0] = lines[0].replace(b"\\n1\\n", b"\\n2\\n")

    _edit(log / "checkpoints", change)


@tampering("not signed by a key of the log")
def everything_is_signed_by_another_key(log: Path, other: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.generate()
    key = verifier.Key("forger", private.public_key().public_bytes_raw())

    def sign(lines: list[bytes]) -> None:
        for number, line in enumerate(lines):
            text = json.loads(line).rpartition("\n\n")[0] + "\n"
            origin = text.split("\n")[0]
            data = base64.b64encode(key.id(origin) + private.sign(text.encode())).decode()
            note = f"{text}\n— {origin} {data}\n"
            lines[number] = json.dumps(note, ensure_ascii=False).encode()

    for folder in (log, other, log.parent.parent / "site"):
        _edit(folder / "checkpoints", sign)


@tampering("does not belong to the bundle")
def a_file_is_added(log: Path, other: Path) -> None:
    (log / "more").write_text("more\n")


@tampering("cannot be read")
def a_file_is_removed(log: Path, other: Path) -> None:
    (log / "numbers").unlink()


@tampering("was cut short")
def a_file_is_cut(log: Path, other: Path) -> None:
    path = log / "events.jsonl"
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize("name", BATTERY)
def test_whoever_changes_a_bundle_is_found_and_the_place_is_named(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    change, expected = BATTERY[name]
    copy = shutil.copytree(bundle, tmp_path / "copy")
    # The longer log first.
    log, other = sorted((copy / "logs").iterdir(), key=lambda path: -len((path / "leaves").read_bytes()))
    change(log, other)
    sum_again(copy)
    assert expected in verdict(copy)


def test_the_event_that_was_changed_is_named_by_its_id(bundle: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(bundle, tmp_path / "copy")
    log = max((copy / "logs").iterdir(), key=lambda path: len((path / "leaves").read_bytes()))
    event = json.loads((log / "events.jsonl").read_bytes().splitlines()[2])["event_id"]
    an_event_is_changed(log, log)
    assert event in verdict(copy)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(choice=st.randoms(use_true_random=False))
def test_any_bit_that_is_flipped_anywhere_is_found(
    bundle: Path, tmp_path: Path, choice: random.Random
) -> None:
    _flip(bundle, tmp_path, choice)


@pytest.mark.deep
def test_each_of_very_many_flipped_bits_is_found(bundle: Path, tmp_path: Path) -> None:
    choice = random.Random(6962)
    for _n in range(20_000):
        _flip(bundle, tmp_path, choice)


def _flip(bundle: Path, tmp_path: Path, choice: random.Random) -> None:
    copy = tmp_path / "copy"
    if not copy.exists():
        shutil.copytree(bundle, copy)
    paths = sorted(path for path in copy.rglob("*") if path.is_file())
    path = choice.choice(paths)
    before = path.read_bytes()
    data, bit = bytearray(before), choice.randrange(len(before) * 8)
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    try:
        assert verdict(copy), (path, bit)
    finally:
        path.write_bytes(before)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """As on another machine: this file and no path to the rest."""
    command = [sys.executable, "-I", str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, timeout=60)


def test_the_program_runs_alone_and_says_what_it_compared(site: Site, tmp_path: Path) -> None:
    folder, key = site.bundle(), site.sealer.key.public
    said = run(folder)
    assert (said.returncode, said.stderr) == (0, "")
    assert "Whole in itself" in said.stdout and key.fingerprint in said.stdout
    assert "9 events of 2 logs" in said.stdout
    (tmp_path / "log.pub").write_text(f"{key}\n")
    for given_key in (key.fingerprint, str(key), tmp_path / "log.pub"):
        said = run(folder, "--key", given_key)
        assert said.returncode == 0
        assert "Whole. Signed by" in said.stdout
    stranger = Sealer(tmp_path / "stranger").key.public
    said = run(folder, "--key", stranger.fingerprint)
    assert said.returncode == 1
    assert "NOT WHOLE: it is signed by" in said.stdout
    assert "no public key" in run(folder, "--key", "x").stdout
    assert run(tmp_path / "nothing").returncode == 1


def test_the_program_imports_nothing_of_ours() -> None:
    text = PROGRAM.read_text()
    assert "muniment." not in "".join(line for line in text.splitlines() if "import" in line)


def test_a_proof_of_one_event_shows_that_event_alone(site: Site) -> None:
    event = AuditEvent.objects.filter(tenant=site.mine.tenant).order_by("occurred_at")[3]
    path = site.folder / "event.tlog-proof"
    path.write_text(bundles.proof(site.mine.tenant, event.event_id))
    said = run(path, "--key", site.sealer.key.public.fingerprint)
    assert (said.returncode, said.stderr) == (0, "")
    assert f"Event {event.event_id}, search.made" in said.stdout
    assert "is number 3 of" in said.stdout
    others = AuditEvent.objects.exclude(pk=event.pk).values_list("event_id", flat=True)
    assert not any(str(other) in path.read_text() for other in others)
    with pytest.raises(NothingSealed):
        bundles.proof(site.other.tenant, event.event_id)


def test_any_bit_that_is_flipped_in_a_proof_is_found(site: Site) -> None:
    event = AuditEvent.objects.filter(tenant=site.mine.tenant).order_by("occurred_at")[3]
    data = bundles.proof(site.mine.tenant, event.event_id).encode()
    choice = random.Random(9162)
    for _n in range(1500):
        changed, bit = bytearray(data), choice.randrange(len(data) * 8)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((NotWholeError, UnicodeDecodeError)):
            verifier.check_proof(changed.decode())


def test_a_witness_keeps_the_largest_tree_and_notices_what_goes_back(site: Site, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    before = site.bundle("before")
    assert run("witness", witness, before).returncode == 0
    assert oct((witness / "witness.key").stat().st_mode)[-3:] == "600"
    site.go_on(2)
    after = site.bundle("after")
    said = run("witness", witness, after)
    assert said.returncode == 0
    assert "Witnessed 10 leaves" in said.stdout
    kept = (witness / "checkpoint").read_text()
    assert len(kept.rpartition("\n\n")[2].splitlines()) == 2
    assert run(after, "--witness", witness / "checkpoint").returncode == 0
    for refused in (run("witness", witness, before), run(before, "--witness", witness / "checkpoint")):
        assert refused.returncode == 1
        assert "it went back" in refused.stdout
    assert (witness / "checkpoint").read_text() == kept


def test_a_witness_notices_a_log_that_was_made_anew(site: Site, tmp_path: Path) -> None:
    """Root with the key can sign another log; not one that goes on from what a witness saw."""
    witness, folder = tmp_path / "witness", site.bundle()
    assert run("witness", witness, folder).returncode == 0
    kept = (witness / "checkpoint").read_text()
    text = kept.partition("\n\n")[0].split("\n")
    other_root = base64.b64encode(bytes(32)).decode()
    forged = site.sealer.key.named(text[0]).sign(f"{text[0]}\n{text[1]}\n{other_root}\n")
    (witness / "checkpoint").write_text(forged)
    said = run("witness", witness, folder)
    assert said.returncode == 1
    assert "another than the one of size 6" in said.stdout


def test_another_key_is_taken_by_a_witness_only_when_it_is_named(site: Site, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    assert run("witness", witness, site.bundle("before")).returncode == 0
    (site.sealer.folder / "log.key").unlink()
    site.go_on(1)
    after = site.bundle("after")
    assert verdict(after) == ""
    said = run("witness", witness, after)
    assert said.returncode == 1
    assert "another key than before" in said.stdout
    new = site.sealer.key.public.fingerprint
    assert run("witness", witness, after, "--new-key", new).returncode == 0
    assert run("witness", witness, after).returncode == 0


def test_the_cosignature_of_a_witness_is_one_of_the_format(site: Site, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    witness = tmp_path / "witness"
    run("witness", witness, site.bundle())
    text, _, lines = (witness / "checkpoint").read_text().rpartition("\n\n")
    _mark, name, encoded = lines.splitlines()[1].split(" ")
    data = base64.b64decode(encoded)
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex((witness / "witness.key").read_text()))
    public = private.public_key().public_bytes_raw()
    time = int.from_bytes(data[4:12], "big")
    assert abs(time - datetime.now(UTC).timestamp()) < 60
    assert second.signed_by(public, f"cosignature/v1\ntime {time}\n{text}\n".encode(), data[12:])
    assert name.startswith("muniment-witness-")


# RFC 8032, 7.1: public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0"
        "595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eae"
        "b4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9"
        "716ed28dc027beceea1ec40a",
    ),
]


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_the_second_verifier_s_signatures_are_those_of_the_rfc(
    public: str, message: str, signature: str
) -> None:
    given_key, text, signed = map(bytes.fromhex, (public, message, signature))
    assert second.signed_by(given_key, text, signed)
    for bit in random.Random(8032).sample(range(512), 20):
        changed = bytearray(signed)
        changed[bit // 8] ^= 1 << bit % 8
        assert not second.signed_by(given_key, text, bytes(changed))


def test_both_trees_have_the_roots_of_the_rfc_s_implementations() -> None:
    from tests.audit.test_merkle import LEAVES, ROOTS

    for size, expected in enumerate(ROOTS):
        tree = verifier.Tree()
        for leaf in LEAVES[:size]:
            tree.add(leaf)
        assert tree.root().hex() == second.root(LEAVES[:size]).hex() == expected
