"""The registry: versions, one pointer, a journal; whatever fails leaves all three as they were."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from harness.weights import blinded, edited, infinite, shifted, variant
from typer.testing import CliRunner

from models import manifest as manifests
from models.__main__ import app
from models.errors import ModelError
from models.manifest import Manifest
from models.registry import disk
from models.registry.disk import writing
from models.registry.folder import Registry
from models.registry.journal import Entry
from models.registry.trial import try_out
from models.weights import Weights

RUNNER = CliRunner()
CRASHED = 77


def sound(_: Path) -> None:
    """A check that finds nothing: for tests about files, not about networks."""


@pytest.fixture
def shipped(trained: tuple[Path, Manifest]) -> Path:
    """The tiny model in the place of the shipped one."""
    return trained[0]


@pytest.fixture
def home(tmp_path: Path, shipped: Path) -> Registry:
    """An empty registry."""
    return Registry(tmp_path / "registry", shipped)


@pytest.fixture
def make(tmp_path: Path, shipped: Path) -> Callable[[float], Path]:
    """Another sound model directory: `make(0.1)`."""

    def build(by: float) -> Path:
        folder = tmp_path / f"run-{by}"
        variant(shipped, folder, shifted(by))
        return folder

    return build


def filled(home: Registry, make: Callable[[float], Path], count: int = 2) -> list[str]:
    """Add so many versions."""
    return [home.add(make(n / 10)) for n in range(1, count + 1)]


# ---------------------------------------------------------------- the way it works


def test_an_empty_registry_means_the_shipped_model(home: Registry, shipped: Path) -> None:
    release = home.current()

    assert ("default", shipped, 0) == (release.name, release.path, release.number)
    assert ["default"] == [v.name for v in home.versions() if v.current]
    assert [] == home.history()
    assert [] == home.verify()
    assert not home.folder.exists()


def test_a_version_is_added_promoted_and_rolled_back(
    home: Registry, make: Callable[[float], Path]
) -> None:
    first, second = filled(home, make)
    assert "default" == home.current().name

    home.promote(first[:5], "labels of March")
    home.promote(second)
    assert second == home.current().name

    entry = home.rollback("false alarms")
    assert (second, first, "false alarms") == (entry.before, entry.after, entry.reason)
    assert first == home.current().name
    assert "default" == home.rollback().after
    with pytest.raises(ModelError, match="no version was current before default"):
        home.rollback()
    actions = [(e.action, e.before, e.after) for e in home.history()]
    assert [
        ("add", None, first),
        ("add", None, second),
        ("promote", "default", first),
        ("promote", first, second),
        ("rollback", second, first),
        ("rollback", first, "default"),
    ] == actions
    assert list(range(1, 7)) == [e.number for e in home.history()]


def test_each_move_of_the_pointer_has_a_number_of_its_own(
    home: Registry, make: Callable[[float], Path]
) -> None:
    """So a reader sees that a version was promoted again, its files perhaps mended meanwhile."""
    (first,) = filled(home, make, 1)
    seen = []
    for version in (first, "0", first):
        home.promote(version, check=sound)
        seen.append(home.current())
    assert [first, "default", first] == [release.name for release in seen]
    assert 3 == len({release.number for release in seen})


def test_a_rollback_skips_what_was_removed(home: Registry, make: Callable[[float], Path]) -> None:
    first, second, third = filled(home, make, 3)
    for version in (first, second, third):
        home.promote(version, check=sound)
    home.remove(second)
    assert first == home.rollback(check=sound).after


def test_a_version_keeps_its_files_and_no_others(
    home: Registry, make: Callable[[float], Path]
) -> None:
    folder = make(0.1)
    (folder / "NOTICE").write_text("of others", "utf-8")
    (folder / "checkpoints").mkdir()
    (folder / "labels-of-the-desk.csv").write_text("text,label", "utf-8")
    path = home.path_of(home.add(folder))

    assert {"NOTICE", "adapters.safetensors", "manifest.json"} == {p.name for p in path.iterdir()}
    assert manifests.read(path) == manifests.read(folder)
    assert {0o444} == {p.stat().st_mode & 0o777 for p in path.iterdir()}
    assert (folder / "manifest.json").stat().st_mtime == (path / "manifest.json").stat().st_mtime


def test_adding_the_same_twice_changes_nothing(
    home: Registry, make: Callable[[float], Path]
) -> None:
    folder = make(0.1)
    assert home.add(folder) == home.add(folder)
    assert 1 == len(home.history())


# ---------------------------------------------------------------- what is refused


def test_the_same_weights_under_another_manifest_are_refused(
    home: Registry, make: Callable[[float], Path]
) -> None:
    folder = make(0.1)
    name = home.add(folder)
    edited(folder, lambda m: m["heads"]["topic"].update(temperature=3.0))
    with pytest.raises(ModelError, match=f"registry remove {name}"):
        home.add(folder)


def test_the_shipped_weights_are_not_added_again(home: Registry, shipped: Path) -> None:
    with pytest.raises(ModelError, match="registry promote default"):
        home.add(shipped)


@pytest.mark.parametrize(
    ("prefix", "problem"), [("zzzz", "no version begins so"), ("", "no version begins so")]
)
def test_an_unknown_prefix_is_refused_and_says_what_there_is(
    home: Registry, make: Callable[[float], Path], prefix: str, problem: str
) -> None:
    (name,) = filled(home, make, 1)
    with pytest.raises(ModelError, match=f"{problem}; there are default, {name}"):
        home.promote(prefix)


def test_a_prefix_of_several_versions_is_refused(
    home: Registry, make: Callable[[float], Path]
) -> None:
    names = filled(home, make, 17)  # 16 first characters
    twice = next(n[0] for n in names if sum(m[0] == n[0] for m in names) > 1)
    with pytest.raises(ModelError, match="versions begin so"):
        home.resolve(twice)


def test_the_current_and_the_shipped_version_are_not_removed(
    home: Registry, make: Callable[[float], Path]
) -> None:
    (name,) = filled(home, make, 1)
    home.promote(name, check=sound)
    with pytest.raises(ModelError, match="is current; promote another one first"):
        home.remove(name)
    with pytest.raises(ModelError, match="comes with the package"):
        home.remove("0")
    with pytest.raises(ModelError, match="is current already"):
        home.promote(name)
    assert [] == home.verify()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (blinded, "gives the same sentiment to every text"),
        (infinite, "NaN or infinite weights"),
        (lambda w: w.update({"head.topic.bias": w["head.topic.bias"][:7]}), "does not fit"),
        (lambda w: w.pop("head.topic.bias"), "does not fit the backbone"),
    ],
)
def test_a_version_that_judges_nothing_never_becomes_current(
    home: Registry,
    shipped: Path,
    tmp_path: Path,
    damage: Callable[[Weights], object],
    message: str,
) -> None:
    name = variant(shipped, tmp_path / "broken", damage)
    assert name == home.add(tmp_path / "broken")
    with pytest.raises(ModelError, match=message):
        home.promote(name)
    assert ("default", 0) == (home.current().name, home.current().number)
    assert ["add"] == [e.action for e in home.history()]


def test_a_damaged_file_is_found_before_the_pointer_moves(
    home: Registry, make: Callable[[float], Path]
) -> None:
    first, second = filled(home, make)
    home.promote(first, check=sound)
    path = home.path_of(second) / "adapters.safetensors"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="SHA-256 is"):
        home.promote(second)
    assert first == home.current().name
    (fault,) = home.verify()
    assert "adapters.safetensors: SHA-256 is" in fault


def test_another_architecture_never_becomes_current(
    home: Registry, make: Callable[[float], Path]
) -> None:
    name = home.add(make(0.1))
    edited(home.path_of(name), lambda m: m["backbone"].update(sha256="0" * 64))
    with pytest.raises(ModelError, match="trained on a backbone"):
        home.promote(name)
    assert "default" == home.current().name


def test_a_source_that_does_not_match_its_hash_is_not_added(
    home: Registry, make: Callable[[float], Path]
) -> None:
    folder = make(0.1)
    (folder / "adapters.safetensors").write_bytes(b"half a f")
    with pytest.raises(ModelError, match="SHA-256 is"):
        home.add(folder)
    assert not home.folder.exists()


def test_a_pointer_to_nothing_says_how_to_mend_it_and_a_rollback_does(
    home: Registry, make: Callable[[float], Path]
) -> None:
    first, second = filled(home, make)
    home.promote(first, check=sound)
    home.promote(second, check=sound)
    shutil.rmtree(home.path_of(second))
    with pytest.raises(ModelError, match=r"names version .* registry rollback"):
        home.current()
    assert 1 == len(home.verify())
    home.rollback(check=sound)
    assert first == home.current().name


@pytest.mark.parametrize("name", ["current", "history.jsonl"])
def test_a_file_that_others_wrote_is_named(
    home: Registry, make: Callable[[float], Path], name: str
) -> None:
    (version,) = filled(home, make, 1)
    home.promote(version, check=sound)
    (home.folder / name).write_text('{"number": 1}\n', "utf-8")
    with pytest.raises(ModelError, match=f"{name}.*: is not what this program writes"):
        home.promote("0", check=sound)
    assert any(name in fault for fault in home.verify())


# ---------------------------------------------------------------- full disks, crashes, rivals


def full(*_: object, **__: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def listing(home: Registry) -> dict[str, bytes]:
    """Every file but the lock, with its content."""
    return {
        str(path.relative_to(home.folder)): path.read_bytes()
        for path in home.folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


@pytest.mark.parametrize("call", ["shutil.copy2", "os.fsync"])
@pytest.mark.parametrize("which", range(4))
def test_a_full_disk_leaves_the_registry_as_it_was(
    home: Registry,
    make: Callable[[float], Path],
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    which: int,
) -> None:
    """Whichever write it is that does not fit."""
    first, second = filled(home, make)
    home.promote(first, check=sound)
    third = make(0.9)
    before = listing(home)
    module, _, name = call.partition(".")
    real = getattr(sys.modules[module], name)
    failed = 0
    for work in (lambda: home.add(third), lambda: home.promote(second, check=sound)):
        calls = iter(range(100))

        def counted(*arguments: object, calls: Iterator[int] = calls) -> object:
            if next(calls) == which:
                full()
            found: object = real(*arguments)
            return found

        with monkeypatch.context() as patched:
            patched.setattr(f"{module}.{name}", counted)
            found = outcome(work)
        if found is not None:
            assert "No space left on device" in found
            assert "nothing was changed" in found
            assert before == listing(home)
        failed += found is not None
        assert [] == home.verify()
        before = listing(home)
    assert failed or which > 1
    assert home.current().name in {first, second}


def outcome(work: Callable[[], object]) -> str | None:
    """The error of some work, None where there is none."""
    try:
        work()
    except ModelError as error:
        return str(error)
    return None


def test_two_writers_exclude_each_other(home: Registry, make: Callable[[float], Path]) -> None:
    (name,) = filled(home, make, 1)
    with (
        writing(home.folder),
        pytest.raises(ModelError, match="another program is changing this registry"),
    ):
        home.promote(name, check=sound)
    home.promote(name, check=sound)  # the lock is gone with its holder


def crash(home: Registry, work: Callable[[Registry], object], moment: int) -> None:
    """In a process of its own: do the work, and die before the so-many-th call to the system."""
    seen = 0

    def dying(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        calls = {"open", "os.rename", "os.mkdir", "os.remove", "os.chmod", "os.rmdir", "os.utime"}
        if event in calls and str(home.folder) in str(arguments[0]):
            seen += 1
            if seen == moment:
                os._exit(CRASHED)

    sys.addaudithook(dying)
    work(home)
    os._exit(0)


@pytest.mark.parametrize("action", ["add", "promote", "rollback", "remove"])
def test_a_crash_before_any_call_leaves_the_old_state_or_the_new_one(
    home: Registry, make: Callable[[float], Path], action: str
) -> None:
    first, second, third = filled(home, make, 3)
    home.promote(first, check=sound)
    home.promote(second, check=sound)
    fresh = make(0.9)
    work: Callable[[Registry], object] = {
        "add": lambda r: r.add(fresh),
        "promote": lambda r: r.promote(third, check=sound),
        "rollback": lambda r: r.rollback(check=sound),
        "remove": lambda r: r.remove(third),
    }[action]
    after = {"promote": third, "rollback": first}.get(action, second)
    context = multiprocessing.get_context("fork")
    origin, codes, currents = home.folder, [], set()
    for moment in range(1, 200):
        copy = Path(shutil.copytree(origin, origin.with_name(f"{action}-{moment}")))
        broken = Registry(copy, home.path_of("default"))
        process = context.Process(target=crash, args=(broken, work, moment))
        process.start()
        process.join()
        codes.append(process.exitcode)

        currents.add(broken.current().name)
        assert broken.current().name in {second, after}
        assert [] == broken.verify()
        numbers = [entry.number for entry in broken.history()]
        assert list(range(1, len(numbers) + 1)) == numbers
        # Whatever was left lying about, the next writer goes on, and clears it away.
        broken.add(fresh)
        broken.promote("0", check=sound)
        assert "default" == broken.current().name
        assert [] == [p for p in copy.rglob(".*") if p.name != ".lock"]
        if codes[-1] == 0:
            break
    assert {CRASHED, 0} == set(codes)
    assert len(codes) > 10
    assert {second, after} == currents


def test_files_reach_the_disk_before_the_pointer_names_them(
    home: Registry, make: Callable[[float], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    synced, replaced = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        synced(descriptor)

    def replace(self: Path, target: Path) -> Path:
        done.append(f"{self.name} > {target.name}")
        return replaced(self, target)

    (name,) = filled(home, make, 1)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    home.promote(name, check=sound)
    assert [
        "sync .current.part",
        "sync .history.part",
        ".current.part > current",
        "sync registry",
        ".history.part > history.jsonl",
        "sync registry",
    ] == done


def test_a_failed_write_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        disk.write_durably(tmp_path / "part", "text")
    assert [] == list(tmp_path.iterdir())


# ---------------------------------------------------------------- trial and commands


def test_the_trial_says_what_the_model_said(shipped: Path) -> None:
    trial = try_out(shipped)
    assert len(trial.texts) == len(trial.found.sentiment) == len(trial.found.topic)


def command(*arguments: str) -> tuple[int, str]:
    """Exit status and what was said, errors of the program's included."""
    found = RUNNER.invoke(app, ["registry", *arguments])
    failed = isinstance(found.exception, ModelError)
    return (1 if failed else found.exit_code), found.output + (
        str(found.exception) if failed else ""
    )


def test_the_commands_from_adding_to_removing(
    tmp_path: Path, trained: tuple[Path, Manifest]
) -> None:
    folder = str(tmp_path / "registry")
    version = variant(trained[0], tmp_path / "run", shifted(0.1))

    assert (0, True) == (
        (found := command("add", str(tmp_path / "run"), "--registry", folder))[0],
        version in found[1],
    )
    assert 0 == command("promote", version[:6], "--registry", folder, "--reason", "a try")[0]
    listed = json.loads(command("list", "--json", "--registry", folder)[1])
    assert [("default", False), (version, True)] == [(v["version"], v["current"]) for v in listed]
    assert "→" in command("list", "--registry", folder)[1]
    shown = json.loads(command("show", version, "--json", "--registry", folder)[1])
    assert ["add", "promote"] == [e["action"] for e in shown["history"]]
    assert version == shown["manifest"]["version"]
    code, said = command("remove", version, "--registry", folder)
    assert (1, True) == (code, "is current" in said)
    assert 0 == command("rollback", "--registry", folder)[0]
    assert 0 == command("verify", "--load", "--registry", folder)[0]
    assert 0 == command("remove", version, "--registry", folder)[0]
    lines = command("history", "--json", "--registry", folder)[1].splitlines()
    entries = [Entry.model_validate_json(line) for line in lines]
    assert ["add", "promote", "rollback", "remove"] == [e.action for e in entries]
    assert ["", "a try", "", ""] == [e.reason for e in entries]
    assert all("@" in e.by for e in entries)


def test_verify_fails_with_every_fault(tmp_path: Path, trained: tuple[Path, Manifest]) -> None:
    home = Registry(tmp_path / "registry")
    version = variant(trained[0], tmp_path / "run", shifted(0.1))
    home.add(tmp_path / "run")
    (home.path_of(version) / "adapters.safetensors").unlink()
    (home.folder / "versions" / "mine").mkdir()
    code, said = command("verify", "--registry", str(home.folder))
    assert (1, True, True) == (code, "2 fault(s)" in said, "mine: is no version" in said)
    assert version in command("list", "--registry", str(home.folder))[1]


@pytest.mark.parametrize(
    "name", ["add", "list", "show", "promote", "rollback", "remove", "history", "verify"]
)
def test_each_command_shows_an_example(name: str) -> None:
    assert f"python -m models registry {name}" in command(name, "--help")[1]
