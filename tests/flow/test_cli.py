"""The command line: every fault a person can mend is told in words, with exit status 1."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from harness.alerts import NOW, an_alert
from harness.daemon import ROOT, Installation, read_topics
from typer.main import get_command

from monitor import app, check, cli, log, opening
from monitor.alert.signing import new_secret
from monitor.config import Kafka
from monitor.demo.broker import EmbeddedBroker
from monitor.source.settings import KafkaSettings
from monitor.store.base import Commit
from monitor.store.engine import open_engine
from monitor.store.sql import SqlStore
from monitor.store.verdicts.base import Judgement, Verdict
from monitor.store.verdicts.sql import SqlVerdicts

COMMANDS = (
    "bench",
    "run",
    "demo",
    "feed",
    "replay",
    "import",
    "check",
    "notify-test",
    "migrate",
    "gazetteer",
    "drill",
    "verdicts",
    "receipt",
    "lab",
)


@dataclass(frozen=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """What was said on standard error, which has to be one line."""
        assert 1 == self.err.count("\n"), self.err
        return self.err.strip()


Call = Callable[..., Said]


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The console script in this process, without its handlers for the log."""
    monkeypatch.setattr(log, "configure", lambda *_: None)

    def call(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["monitor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return Said(code or 0, said.out, said.err)

    return call


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait a moment for the first broker, not 15 s."""

    def quick(kafka: Kafka) -> KafkaSettings:
        return replace(original(kafka), connect_timeout=0.3)

    original = opening.kafka_settings
    monkeypatch.setattr(app, "kafka_settings", quick)
    monkeypatch.setattr(check, "kafka_settings", quick)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def site(tmp_path: Path, embedded_broker: EmbeddedBroker) -> Installation:
    return Installation(tmp_path, embedded_broker.settings())


def test_help_names_every_command_and_each_has_an_example(monitor: Call) -> None:
    said = monitor("--help")
    assert 0 == said.status
    listed = re.findall(r"^  ([a-z-]+) ", said.out.partition("Commands:")[2], re.MULTILINE)
    assert sorted(COMMANDS) == sorted(listed)
    for command in COMMANDS:
        said = monitor(command, "--help")
        assert 0 == said.status
        assert re.search(rf"Examples?:\n +monitor {command} \S", said.out)
        examples = said.out.rpartition("Example")[2].splitlines()[1:]
        assert all(line.startswith("    monitor ") for line in examples if line), "to be copied"


@pytest.mark.parametrize("arguments", [(), ("feed",), ("gazetteer",)])
def test_no_line_of_a_list_of_commands_is_cut_off(monitor: Call, arguments: tuple[str]) -> None:
    commands = monitor(*arguments, "--help").out.partition("Commands:")[2]
    assert commands
    assert "..." not in commands


def test_the_version_is_told(monitor: Call) -> None:
    assert re.fullmatch(r"monitor \S+\n", monitor("--version").out)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom monitor.cli import app\n"
        "try: app(['run', '--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'kafka', 'sqlalchemy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "[]" == done.stdout.splitlines()[-1]


def test_a_misspelt_command_is_named(monitor: Call) -> None:
    said = monitor("runn")
    assert 2 == said.status
    assert "No such command 'runn'" in said.err


def test_run_lists_every_fault_of_the_configuration_at_once(monitor: Call, tmp_path: Path) -> None:
    path = tmp_path / "monitor.toml"
    path.write_text(
        '[kafka]\npartitions = 0\nbrokers = "x"\n[http]\nport = "many"\n'
        '[store]\nurl = "mysql://x"\n'
        '[[delivery.receivers]]\nname = "desk"\nurl = "http://x"\nsecrets = ["whsec_no-show"]\n',
        "utf-8",
    )
    said = monitor("run", "--config", path)
    assert 1 == said.status
    head, *faults = said.err.splitlines()
    assert f"monitor: {path}: 5 faults in the configuration" == head
    places = ["kafka.partitions", "kafka.brokers", "http.port", "store.url", "delivery.receivers.0"]
    assert sorted(places) == sorted(fault.split(":")[0].strip() for fault in faults)
    assert "no-show" not in said.err


def test_run_without_its_file_says_what_to_start_from(monitor: Call, tmp_path: Path) -> None:
    said = monitor("run", "--config", tmp_path / "absent.toml")
    assert 1 == said.status
    assert "absent.toml: cannot be read (No such file or directory)" in said.line
    assert "deploy/monitor.example.toml" in said.line


@pytest.mark.usefixtures("impatient")
def test_run_with_a_broker_that_does_not_answer_says_so_in_one_line(
    monitor: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # bound, but nobody listens
        address = f"127.0.0.1:{probe.getsockname()[1]}"
        config = Installation(tmp_path, KafkaSettings(bootstrap_servers=address)).write()
        said = monitor("run", "--config", config)
    assert 1 == said.status
    assert f"monitor: No Kafka broker answers at {address}" in said.line
    assert 1 == caplog.text.count("it is tried for 0.3 s"), "nobody looks at a silent terminal"
    assert "`make kafka` starts one" in said.line


def test_run_with_a_port_in_use_says_so_in_one_line(
    monitor: Call, site: Installation, taken_port: int
) -> None:
    config = site.write()
    config.write_text(config.read_text().replace("port = 0", f"port = {taken_port}"))
    said = monitor("run", "--config", config)
    assert 1 == said.status
    assert f"127.0.0.1:{taken_port} cannot be listened on (Address already in use)" in said.line
    assert "set another [http] port" in said.line


def test_run_without_weights_says_so_in_one_line(monitor: Call, site: Installation) -> None:
    absent = site.folder / "no-model"
    site.extra = f'[model]\npath = "{absent}"\n'
    said = monitor("run", "--config", site.write())
    assert 1 == said.status
    assert "monitor: the model cannot be loaded" in said.line
    assert str(absent) in said.line


def test_run_with_a_database_that_cannot_be_made_says_so_in_one_line(
    monitor: Call, site: Installation
) -> None:
    site.database.write_bytes(b"no database at all, but long enough to be read as one" * 40)
    said = monitor("run", "--config", site.write())
    assert 1 == said.status
    assert f"{site.database}: the file isn't an SQLite database" in said.line


def test_check_lists_every_part(monitor: Call, site: Installation) -> None:
    site.receiver, site.secret = "http://127.0.0.1:9/alerts", "whsec_" + "c2VjcmV0" * 5
    said = monitor("check", "--config", site.write())
    assert 0 == said.status, said
    words = [line.split(maxsplit=1) for line in said.out.splitlines()]
    assert [
        "configuration",
        "database",
        "kafka",
        "entities",
        "calendar",
        "model",
        "folders",
        "receivers",
    ] == [w[0] for w in words]
    assert all(w[1].startswith("ok") for w in words)
    assert "c2VjcmV0" not in said.out


@pytest.mark.usefixtures("impatient")
def test_check_goes_on_after_a_fault_and_names_each(monitor: Call, tmp_path: Path) -> None:
    site = Installation(tmp_path, KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    site.extra = f'[model]\npath = "{tmp_path / "no-model"}"\n'
    said = monitor("check", "--config", site.write())
    assert 1 == said.status
    text = " ".join(said.out.split())
    assert "database ok" in text
    assert "kafka FAULT: No Kafka broker answers at 127.0.0.1:1" in text
    assert "model FAULT: the model cannot be loaded" in text
    assert "receivers ok: none configured" in text


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--map", "published_at"], "published_at"),
        (["--map", "publishd_at=ts"], "publishd_at"),
        (["--speed", "fast"], "--speed 'fast': must be a positive number, or max"),
        (["--speed", "0"], "--speed '0': must be a positive number, or max"),
    ],
)
def test_replay_names_an_option_it_cannot_use(
    monitor: Call, tmp_path: Path, arguments: list[str], fault: str
) -> None:
    said = monitor("replay", tmp_path / "news.jsonl", *arguments)
    assert 1 == said.status
    assert said.line.startswith("monitor: ")
    assert fault in said.line


def test_replay_publishes_a_file_and_tells_of_the_rows_it_left_out(
    monitor: Call, site: Installation
) -> None:
    file = site.folder / "rows.csv"
    file.write_text(
        "when,headline,body\n"
        "2026-03-02T09:00:00Z,First,The mill reopens.\n"
        "yesterday,Second,The mill closes.\n"
        "2026-03-02T10:00:00Z,Third,The mill is sold.\n",
        "utf-8",
    )
    mapping = "published_at=when,title=headline,text=body,source==desk"
    said = monitor("replay", file, "--config", site.write(), "--map", mapping)
    assert 2 == said.status, said
    assert f"2 messages published into {site.topics.news}" in said.out
    assert "1 rows could not be read and were left out" in said.err
    found = read_topics(site.kafka, {site.topics.news: 2})[site.topics.news]
    assert ["First", "Third"] == sorted(str(m["title"]) for m in found)


def test_migrate_makes_the_tables_once(monitor: Call, site: Installation) -> None:
    config = site.write()
    first, second = monitor("migrate", "-c", config), monitor("migrate", "-c", config)
    (made,) = re.findall(r"^tables: none → (\w+)$", first.out.strip())
    assert f"tables: {made} → {made}" == second.out.strip()


def test_the_tests_know_every_command() -> None:
    command = get_command(cli.app)
    assert set(COMMANDS) == set(command.commands)  # type: ignore[attr-defined]


def test_check_names_a_folder_that_is_not_there(monitor: Call, site: Installation) -> None:
    missing = site.folder / "inbox"
    site.extra = f'[[watch_folders]]\npath = "{missing}"\n'
    said = monitor("check", "--config", site.write())
    assert 1 == said.status
    assert f"folders FAULT: watch_folders: {missing} is no folder" in " ".join(said.out.split())


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--map", "publishd_at=ts"], "publishd_at"),
        (["--kind", "gossip"], "--kind 'gossip': must be news or comment"),
    ],
)
def test_import_names_an_option_it_cannot_use(
    monitor: Call, tmp_path: Path, arguments: list[str], fault: str
) -> None:
    said = monitor("import", tmp_path / "news.jsonl", *arguments)
    assert 1 == said.status
    assert fault in said.line


def test_import_names_a_file_that_is_not_there(monitor: Call, site: Installation) -> None:
    said = monitor("import", site.folder / "none.csv", "--config", site.write())
    assert 1 == said.status
    assert "none.csv can't be read: No such file" in said.line


def test_verdicts_shows_how_often_each_rule_was_right(monitor: Call, site: Installation) -> None:
    config = site.write()
    assert "no database yet" in monitor("verdicts", "-c", config).line
    monitor("migrate", "-c", config)
    assert "no alert has fired yet" in monitor("verdicts", "-c", config).out
    engine = open_engine(f"sqlite:///{site.database}")
    store, verdicts = SqlStore(engine), SqlVerdicts(engine)
    store.load(0)
    store.apply(Commit(alerts=[an_alert(f"a{n}", evalue=1000.0 + n) for n in range(6)]))
    for n in range(6):
        judgement = Judgement.FALSE if n == 0 else Judgement.TRUE
        verdicts.give(Verdict(f"a{n}", judgement, "ann", "", NOW))

    said = monitor("verdicts", "-c", config, "--target", "0.9")

    assert 0 == said.status
    (line,) = [row for row in said.out.splitlines() if "share on topic" in row]
    assert "83% (44%–97%)" in line
    assert "1,001: 100% (57%–100%) of 5, 5.00 a day" in line


def test_drill_names_a_wait_that_is_too_short(monitor: Call, site: Installation) -> None:
    site.receiver, site.secret = "http://127.0.0.1:9/alerts", new_secret()
    config = site.write()
    config.write_text(config.read_text().replace("group_wait = 0.1", "group_wait = 30"))
    said = monitor("drill", "--config", config, "--wait", "20")
    assert 1 == said.status
    assert "group_wait" in said.line
