"""The configuration: strict, every fault at once, and no secret in any message."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from pydantic import ValidationError

from monitor.config import ApiKey, Http, Settings, WatchFolder, load_settings
from monitor.errors import ConfigError
from monitor.receivers import WebhookReceiver

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()
RECEIVER = f'{{ name = "desk", url = "https://hooks.example.com/x", secrets = ["{SECRET}"] }}'


def written(folder: Path, text: str) -> Path:
    """A configuration file."""
    path = folder / "monitor.toml"
    path.write_text(text, "utf-8")
    return path


def refused(path: Path | None, **environ: str) -> list[str]:
    """The lines of the refusal."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ)
    return str(caught.value).splitlines()


def test_without_a_file_and_variables_everything_has_its_default() -> None:
    assert Settings() == load_settings(None, {})


def test_every_fault_is_listed_at_once_with_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        watchdog = 0
        [kafka]
        topics = { news = "gossip" }
        partitions = 1.5
        [detect]
        budgett = 2
        [nonsense]
        x = 1
        """,
    )
    head, *faults = refused(path)
    assert f"{path}: 5 faults in the configuration" == head
    places = {line.split(":")[0].strip() for line in faults}
    expected = {"watchdog", "kafka.topics.news", "kafka.partitions", "detect.budgett", "nonsense"}
    assert expected == places
    assert "greater than 0 (found 0)" in "".join(faults)


def test_an_unknown_name_tells_where_the_known_ones_are(tmp_path: Path) -> None:
    _, fault = refused(written(tmp_path, "[http]\nnonsense = 1"))
    assert "http.nonsense: unknown name; see deploy/monitor.example.toml" in fault


@pytest.mark.parametrize(
    ("text", "place", "meant"),
    [
        ("[kafak]\nx = 1", "kafak", "kafka"),
        ("[kafka]\nbootstrap_server = 'x:1'", "kafka.bootstrap_server", "bootstrap_servers"),
        (
            "[[feeds]]\nname = 'a'\nurl = 'https://example.com/rss'\nintervall = 60",
            "feeds.0.intervall",
            "interval",
        ),
    ],
)
def test_a_name_that_is_nearly_one_says_which_is_meant(
    tmp_path: Path, text: str, place: str, meant: str
) -> None:
    _, fault = refused(written(tmp_path, text))
    assert f"{place}: unknown name, perhaps {meant} is meant; see" in fault


def test_an_unknown_name_of_a_receiver_is_one_fault_among_the_others(tmp_path: Path) -> None:
    receiver = RECEIVER.replace("{", "{ timeoutt = 3,")
    _, fault = refused(written(tmp_path, f"[delivery]\nreceivers = [{receiver}]"))
    assert "delivery.receivers.0.timeoutt: unknown name; see" in fault


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka]\ngroup_id = "file"\nclient_id = "file"')
    environ = {
        "MONITOR_KAFKA__GROUP_ID": "environment",
        "MONITOR_WATCHDOG": "30",
        "MONITOR_KAFKA__TOPICS": '{ articles = "news" }',
        "MONITOR_KAFKA__API_VERSION": "[2, 3, 0]",
        "MONITOR_KAFKA__SSL_CHECK_HOSTNAME": "false",
        "MONITOR_DELIVERY__RECEIVERS": f"[{RECEIVER}]",
    }
    settings = load_settings(path, environ)
    assert ("environment", "file") == (settings.kafka.group_id, settings.kafka.client_id)
    assert 30.0 == settings.watchdog
    assert {"articles": "news"} == settings.kafka.topics
    assert (2, 3, 0) == settings.kafka.api_version
    assert not settings.kafka.ssl_check_hostname
    assert ["desk"] == [r.name for r in settings.delivery.receivers]


def test_an_address_in_brackets_is_a_text_and_no_array() -> None:
    settings = load_settings(None, {"MONITOR_KAFKA__BOOTSTRAP_SERVERS": "[::1]:9092"})
    assert "[::1]:9092" == settings.kafka.bootstrap_servers


def test_a_fault_from_the_environment_names_its_variable() -> None:
    head, *faults = refused(
        None, MONITOR_HTTP__PORT="70000", MONITOR_KAFKA__TOPICS="{ news", MONITOR_HTP__PORT="1"
    )
    assert "the environment: 3 faults in the configuration" == head
    text = "\n".join(faults)
    assert "http.port (from MONITOR_HTTP__PORT): Input should be less than or equal" in text
    assert "kafka.topics (from MONITOR_KAFKA__TOPICS)" in text
    assert "htp (from MONITOR_HTP__PORT): unknown name" in text


def test_a_variable_below_something_that_is_no_section_is_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path, f"[delivery]\nreceivers = [{RECEIVER}]")
    _, *faults = refused(path, MONITOR_DELIVERY__RECEIVERS__0__URL="x", MONITOR_WATCHDOG__X="1")
    assert "MONITOR_DELIVERY__RECEIVERS__0__URL: delivery.receivers.0 is no section" in faults[0]
    assert any("watchdog (from MONITOR_WATCHDOG__X)" in fault for fault in faults)


@pytest.mark.parametrize("name", ["MONITOR_PORT", "MONITOR_SERVICE_HOST", "OTHER_HTTP__PORT"])
def test_variables_that_are_not_ours_are_left_alone(name: str) -> None:
    assert Settings() == load_settings(None, {name: "tcp://10.0.0.1:9108"})


def test_a_file_that_is_not_there_says_how_to_begin(tmp_path: Path) -> None:
    (line,) = refused(tmp_path / "none.toml")
    assert "No such file" in line and "start from deploy/monitor.example.toml" in line


@pytest.mark.parametrize("content", [b"[kafka", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "monitor.toml"
    path.write_bytes(content)
    assert "is not TOML" in refused(path)[0]


def test_no_secret_is_shown_by_the_settings(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        f"""
        [kafka]
        sasl_password = "hunter2-a"
        ssl_password = "hunter2-b"
        [intake]
        author_key = "hunter2-c"
        [store]
        url = "postgresql+psycopg://monitor:hunter2-d@db/monitor"
        [delivery]
        receivers = [
          {{ name = "chat", url = "https://hooks.example.com/hunter2-e", secrets = ["{SECRET}"] }},
        ]
        """,
    )
    settings = load_settings(path, {})
    for shown in (repr(settings), str(settings)):
        assert "hunter2" not in shown
        assert SECRET not in shown
    assert settings.store.url.endswith("hunter2-d@db/monitor")


@pytest.mark.parametrize(
    "text",
    [
        '[kafka]\nsasl_password = ["hunter2"]',
        '[kafka]\nsasl_passwort = "hunter2"',
        "[intake]\nauthor_key = [['hunter2']]",
        '[store]\nurl = "postgres://monitor:hunter2@db/monitor"',
        '[store]\nurl = "mysql://monitor:hun/ter2@hunter2@db/monitor"',
        '[delivery]\nreceivers = { name = "desk", secrets = ["hunter2"] }',
        '[delivery]\nreceivers = ["{ secrets = hunter2 }"]',
        '[[delivery.receivers]]\nname = "desk"\nurl = "https://e.org"\nsecrets = "hunter2"',
        '[[delivery.receivers]]\nname = "desk"\nurl = "https://e.org"\nsecrets = ["hunter2"]',
        '[[delivery.receivers]]\nname = "desk"\nurl = "ftp://e.org/hunter2"\nsecrets = []',
        '[[delivery.receivers]]\nname = "Desk"\nurl = "//e.org/hunter2"\nsecrets = ["hunter2"]',
    ],
)
def test_no_secret_is_shown_by_a_refusal(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in "\n".join(refused(written(tmp_path, text)))


def test_receivers_with_one_name_are_refused_without_showing_them() -> None:
    _, fault = refused(None, MONITOR_DELIVERY__RECEIVERS=f"[{RECEIVER}, {RECEIVER}]")
    assert "the names must be unique; twice here: desk" in fault
    assert SECRET not in fault


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("begins with https://", {"url": "ftp://hooks.example.com"}),
        ("plain http needs allow_http = true", {"url": "http://10.1.1.1/"}),
        ("plain http needs", {"url": "http://10.1.1.1/", "allow_http": True}),
        ("must not carry a user name", {"url": "https://me:pw@hooks.example.com"}),
        ("must begin with whsec_", {"secrets": ("c2VjcmV0",)}),
        ("write a network as 10.0.0.0/8", {"allow_networks": ("10.0.0.0/40",)}),
        ("at least 1 item", {"secrets": ()}),
        ("greater than 0", {"timeout": 0}),
        ("match pattern", {"name": "Risk Desk"}),
    ],
)
def test_a_receiver_that_could_never_be_reached_is_refused(
    expected: str, changes: dict[str, object]
) -> None:
    valid: dict[str, object] = {
        "name": "desk", "url": "https://hooks.example.com/x", "secrets": (SECRET,)
    }  # fmt: skip
    assert "desk" == WebhookReceiver.model_validate(valid).name
    with pytest.raises(ValidationError, match=expected):
        WebhookReceiver.model_validate(valid | changes)


def test_both_faults_of_a_receiver_are_told() -> None:
    bad = {"name": "desk", "url": "ftp://hooks.example.com", "secrets": ("x",)}
    with pytest.raises(ValidationError, match=r"must begin with whsec_.*; .*begins with https"):
        WebhookReceiver.model_validate(bad)


def test_a_receiver_inside_the_house_may_be_spoken_to_plainly() -> None:
    receiver = WebhookReceiver.model_validate(
        {
            "name": "desk",
            "url": "http://10.20.0.7:9000/x",
            "secrets": (SECRET,),
            "allow_http": True,
            "allow_networks": ("10.20.0.0/16",),
        }
    )
    assert ("10.20.0.0/16",) == receiver.plain_networks


def test_a_topic_that_is_written_cannot_be_read(tmp_path: Path) -> None:
    _, fault = refused(written(tmp_path, '[kafka]\ntopics = { scored = "news", a = "news" }'))
    assert "topics that are written must not be read: scored" in fault
    _, fault = refused(written(tmp_path, '[kafka]\nalerts_topic = "scored"'))
    assert "must differ" in fault


@pytest.mark.parametrize("value", ["inf", "nan", "0", "-1"])
def test_a_budget_is_a_positive_number(value: str) -> None:
    assert 2 == len(refused(None, MONITOR_DETECT__BUDGET=value))


def test_a_repetition_is_not_quicker_than_the_group() -> None:
    _, fault = refused(None, MONITOR_DELIVERY__REPEAT_INTERVAL="60")
    assert "repeat_interval must be at least group_interval" in fault


def test_a_replay_needs_times_with_a_zone() -> None:
    _, fault = refused(
        None,
        MONITOR_REPLAY__EVENT_ORIGIN="2026-03-02T00:00:00",
        MONITOR_REPLAY__WALL_ORIGIN="2026-03-02T00:00:00Z",
    )
    assert "replay.event_origin" in fault


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Settings().watchdog = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:0", "cuda:11", "all"])
def test_a_device_is_named_as_torch_names_it(tmp_path: Path, device: str) -> None:
    path = written(tmp_path, f'[model]\ndevice = "{device}"')
    assert device == load_settings(path, {}).model.device


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cpu:0", "all:1", ""])
def test_another_device_is_refused(tmp_path: Path, device: str) -> None:
    _, fault = refused(written(tmp_path, f'[model]\ndevice = "{device}"'))
    assert "model.device: must be auto, cpu, cuda, cuda:N or all" in fault


def test_how_micro_batches_are_made_is_checked(tmp_path: Path) -> None:
    text = "[model]\nbatch_tokens = 8\nlook_ahead = -1\nmax_wait = 60\nminimum_fill = -5"
    _, *faults = refused(written(tmp_path, text))
    assert 4 == len(faults)
    assert "must be 0 (what suits the device) or at least 16" in "".join(faults)
    assert 2048 == load_settings(None, {"MONITOR_MODEL__BATCH_TOKENS": "2048"}).model.batch_tokens


def feeds(*lines: str) -> str:
    """Configured feeds, each the further lines of one."""
    return "\n".join(
        f'[[feeds]]\nname = "f{number}"\nurl = "https://wire.example/{number}"\n{more}'
        for number, more in enumerate(lines)
    )


def test_every_fault_of_the_feeds_is_listed_at_once(tmp_path: Path) -> None:
    text = feeds(
        'url2 = "x"',
        "interval = 5",
        'language = "not a tag"',
        'headers = { "X Y" = "a" }',
        'kind = "gossip"',
        'allow_networks = ["inside"]',
        'updates = "always"',
    )
    head, *faults = refused(written(tmp_path, text))
    assert "7 faults" in head
    assert [f"feeds.{number}" in fault for number, fault in enumerate(faults)] == [True] * 7


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://wire.example/", "a feed URL begins with"),
        ("https://user:hunter2@wire.example/", "must not carry a user name"),
        ("https://wire.example/#x", "fragment"),
        ("wire.example/rss", "a feed URL begins with"),
    ],
)
def test_a_url_that_is_no_feeds_is_refused_and_not_shown(
    tmp_path: Path, url: str, said: str
) -> None:
    text = "\n".join(refused(written(tmp_path, f'[[feeds]]\nname = "a"\nurl = "{url}"')))
    assert said in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "headers", ['{ Authorization = ["hunter2"] }', '{ Authorization = "hunter2\\r\\nX: y" }']
)
def test_the_headers_of_a_feed_are_secrets(tmp_path: Path, headers: str) -> None:
    text = "\n".join(refused(written(tmp_path, feeds(f"headers = {headers}"))))
    assert "headers" in text
    assert "hunter2" not in text
    good = load_settings(written(tmp_path, feeds('headers = { X-Key = "hunter2" }')), {})
    assert "hunter2" not in repr(good)


def test_two_feeds_of_one_name_are_refused(tmp_path: Path) -> None:
    text = feeds("", "").replace("f1", "f0")
    assert "twice here: f0" in "\n".join(refused(written(tmp_path, text)))


def test_a_feed_goes_to_the_first_topic_of_its_kind_that_is_read(tmp_path: Path) -> None:
    topics = 'topics = { c = "comment", n = "news", m = "news" }\n'
    text = f"[kafka]\n{topics}" + feeds("", 'kind = "comment"', 'topic = "m"')
    settings = load_settings(written(tmp_path, text), {})
    assert ["n", "c", "m"] == [settings.feed_topic(feed) for feed in settings.feeds]


@pytest.mark.parametrize(
    ("more", "said"),
    [('topic = "nowhere"', "not among kafka.topics"), ('kind = "comment"', "needs a topic")],
)
def test_a_feed_that_nobody_would_read_is_refused(tmp_path: Path, more: str, said: str) -> None:
    text = '[kafka]\ntopics = { news = "news" }\n' + feeds(more)
    assert said in "\n".join(refused(written(tmp_path, text)))


KEY = {"name": "desk", "secret": "0123456789abcdef01234567"}
FOLDER = {"path": "inbox"}


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("openssl rand -hex 32", {"secret": "short"}),
        ("no spaces", {"secret": "a secret that has some spaces"}),
        ("match pattern", {"name": "Press Office"}),
        ("greater than or equal to 0", {"rate": -1}),
    ],
)
def test_an_api_key_that_could_be_guessed_or_never_used_is_refused(
    expected: str, changes: dict[str, object]
) -> None:
    assert "desk" == ApiKey.model_validate(KEY).name
    with pytest.raises(ValidationError, match=expected):
        ApiKey.model_validate({**KEY, **changes})


def test_the_secret_of_an_api_key_is_shown_nowhere(tmp_path: Path) -> None:
    path = written(tmp_path, '[[http.keys]]\nname = "desk"\nsecret = "hunter2"')
    assert "hunter2" not in "\n".join(refused(path))
    assert KEY["secret"] not in repr(Settings(http=Http(keys=(ApiKey.model_validate(KEY),))))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_waiting = 10", "max_waiting must be at least max_documents"),
        ("keys = [{k}, {k}]", "must be unique; twice here: desk; two keys have one secret"),
    ],
)
def test_http_that_would_refuse_everything_is_refused(
    tmp_path: Path, text: str, expected: str
) -> None:
    key = '{ name = "desk", secret = "%s" }' % KEY["secret"]  # noqa: UP031 - braces
    _, fault = refused(written(tmp_path, "[http]\n" + text.replace("{k}", key)))
    assert expected in fault
    assert KEY["secret"] not in fault


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("colour is no field of a message; known are id", {"columns": {"colour": "x"}}),
        ("'../done' is not the name of a subfolder", {"done": "../done"}),
        ("done and failed must differ", {"failed": "done"}),
        ("greater than 0", {"poll_interval": 0}),
    ],
)
def test_a_folder_that_could_not_be_read_is_refused(
    expected: str, changes: dict[str, object]
) -> None:
    assert Path("inbox") == WatchFolder.model_validate(FOLDER).path
    with pytest.raises(ValidationError, match=expected):
        WatchFolder.model_validate({**FOLDER, **changes})


def test_a_folder_of_a_kind_without_a_topic_is_refused(tmp_path: Path) -> None:
    text = '[kafka]\ntopics = { news = "news" }\n[[watch_folders]]\npath = "a"\nkind = "comment"'
    assert "no topic of kafka.topics has the kind comment" in refused(written(tmp_path, text))[1]
    twice = '[[watch_folders]]\npath = "a"\n' * 2
    assert "two have the same path and pattern" in refused(written(tmp_path, twice))[1]


def test_what_kafka_would_not_take_may_not_be_handed_in(tmp_path: Path) -> None:
    intake = "[intake]\nmax_message_bytes = 2000000\n"
    assert 2_000_000 == load_settings(written(tmp_path, intake), {}).intake.max_message_bytes
    _, fault = refused(written(tmp_path, f'{intake}[[watch_folders]]\npath = "a"\n'))
    assert "intake.max_message_bytes must be at most 1000000" in fault


def test_history_may_begin_never() -> None:
    folder = WatchFolder.model_validate({**FOLDER, "history_after": 1e300})
    assert folder.history.days > 1e8
