"""The example configuration against the code."""

from __future__ import annotations

import base64
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from monitor.config import ApiKey, Feed, Settings, WatchFolder, load_settings
from monitor.errors import ConfigError
from monitor.receivers import AnyReceiver, Networked, WebhookReceiver

EXAMPLE = Path(__file__).parents[2] / "deploy" / "monitor.example.toml"
NOT_FOR_OPERATORS = {"replay"}
"""Written by the demo into its own configuration."""
SECTIONS = {
    name: field.default
    for name, field in Settings.model_fields.items()
    if isinstance(field.default, BaseModel)
}


def uncommented() -> str:
    """The example with every commented-out setting in force."""
    return re.sub(r"^# (?=\[\[|[a-z_]+ = )", "", EXAMPLE.read_text("utf-8"), flags=re.MULTILINE)


def test_the_example_is_the_defaults() -> None:
    assert Settings() == load_settings(EXAMPLE, {})


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_occurs_in_the_example(section: str) -> None:
    tree = tomllib.loads(uncommented())
    assert set(type(SECTIONS[section]).model_fields) == set(tree[section])


def test_every_setting_outside_the_sections_occurs_in_the_example() -> None:
    expected = set(Settings.model_fields) - NOT_FOR_OPERATORS
    assert expected == set(tomllib.loads(uncommented()))


def test_every_setting_of_every_receiver_occurs_in_the_example() -> None:
    tables = tomllib.loads(uncommented())["delivery"]["receivers"]
    common = set(Networked.model_fields)
    assert set(WebhookReceiver.model_fields) == set(tables[0])
    shown = {table["type"]: set(table) | common for table in tables}
    for kind in get_args(get_args(AnyReceiver)[0]):
        model, tag = get_args(kind)
        if tag.tag not in ("webhook", "cloudevents"):
            assert set(model.model_fields) | common == shown[tag.tag]


def test_every_setting_of_a_feed_occurs_in_the_example() -> None:
    (feed,) = tomllib.loads(uncommented())["feeds"]
    assert set(Feed.model_fields) == set(feed)


def test_every_setting_of_an_api_key_and_of_a_folder_occurs_in_the_example() -> None:
    tree = tomllib.loads(uncommented())
    assert set(ApiKey.model_fields) == set(tree["http"]["keys"][0])
    assert set(WatchFolder.model_fields) == set(tree["watch_folders"][0])


def test_the_secret_of_the_example_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "monitor.toml"
    path.write_text('[[http.keys]]\nname = "a"\nsecret = "key_…"\n', "utf-8")
    with pytest.raises(ConfigError, match="openssl rand -hex 32"):
        load_settings(path, {})


def test_the_example_with_everything_in_force_is_valid(tmp_path: Path) -> None:
    secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    path = tmp_path / "monitor.toml"
    text = uncommented().replace("whsec_…", secret).replace("key_…", secret)
    path.write_text(text.replace("…", "x"), "utf-8")
    settings = load_settings(path, {})
    assert "risk-desk" == settings.delivery.receivers[0].name
    assert (2, 3) == settings.kafka.api_version
    assert "SCRAM-SHA-512" == settings.kafka.sasl_mechanism


@pytest.mark.parametrize("guide", ["channels.md", "routing.md"])
def test_the_examples_of_the_guides_are_valid(guide: str, tmp_path: Path) -> None:
    text = (EXAMPLE.parents[1] / "docs" / guide).read_text("utf-8")
    secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    names = ("on-call", "energy-desk", "desk-mail")
    told = "".join(
        f'[[delivery.receivers]]\nname = "{name}"\ntype = "slack"\nurl = "https://x.example/"\n'
        'digest = { times = ["08:00"] }\n'
        for name in names
    )
    blocks = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        filled = block.replace("whsec_…", secret).replace("# …", "").replace("…", "x" * 30)
        if 'type = "email"' in filled and "host" not in filled:
            filled += (
                'host = "mail.example.com"\nsender = "a@b.example"\nrecipients = ["c@d.example"]'
            )
        if "delivery.routes" in filled:
            filled += told
        path = tmp_path / "monitor.toml"
        path.write_text(filled, "utf-8")
        load_settings(path, {})
