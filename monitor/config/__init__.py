"""The configuration: one strict tree from a TOML file and the environment.

``MONITOR_SECTION__NAME`` in the environment wins over the file. An unknown name, a wrong type or a
value out of range stops the start, and every fault is listed at once, without showing a secret.
"""

from monitor.config.incoming import ApiKey, Feed, Feeding, Http, WatchFolder
from monitor.config.load import PREFIX, load_settings
from monitor.config.outgoing import Delivery, Drill, Verdicts
from monitor.config.settings import Logs, Replay, Settings
from monitor.config.stream import (
    Aggregate,
    Detect,
    Entities,
    Intake,
    Kafka,
    Model,
    Sources,
    StoreSection,
    Stories,
)

__all__ = [
    "PREFIX",
    "Aggregate",
    "ApiKey",
    "Delivery",
    "Detect",
    "Drill",
    "Entities",
    "Feed",
    "Feeding",
    "Http",
    "Intake",
    "Kafka",
    "Logs",
    "Model",
    "Replay",
    "Settings",
    "Sources",
    "StoreSection",
    "Stories",
    "Verdicts",
    "WatchFolder",
    "load_settings",
]
