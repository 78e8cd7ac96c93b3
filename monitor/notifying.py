"""The receivers, ready to be told: each with its way there, its format and its limits."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from pydantic import SecretStr

from monitor import config, receivers
from monitor.alert.base import Channel, Receiver
from monitor.alert.channels import alertmanager, apprise, email
from monitor.alert.channels.alertmanager import Alertmanager
from monitor.alert.channels.cloudevents import CloudEvents
from monitor.alert.channels.dingtalk import DingTalk
from monitor.alert.channels.feishu import Feishu
from monitor.alert.channels.pagerduty import PagerDuty
from monitor.alert.channels.slack import Slack
from monitor.alert.channels.teams import Teams
from monitor.alert.channels.wecom import WeCom
from monitor.alert.group import GroupTiming
from monitor.alert.post import HttpNotifier
from monitor.alert.webhook import Webhook
from monitor.dial import Limits


def make_receivers(delivery: config.Delivery, stack: ExitStack) -> dict[str, Receiver]:
    """Those that are configured, by name. Raises ``ConfigError``."""
    return {
        settings.name: replace(
            make_receiver(settings, stack),
            quiet=settings.quiet.hours if settings.quiet else None,
            digest=settings.digest.hours if settings.digest else None,
        )
        for settings in delivery.receivers
    }


def group_timing(delivery: config.Delivery) -> GroupTiming:
    """How long a group waits."""
    return GroupTiming(
        timedelta(seconds=delivery.group_wait),
        timedelta(seconds=delivery.group_interval),
        timedelta(seconds=delivery.repeat_interval),
    )


def make_receiver(settings: receivers.AnyReceiver, stack: ExitStack) -> Receiver:
    """One of them; its connections are closed with the stack. Raises ``ConfigError``."""
    limits = Limits(read=settings.timeout, total=2 * settings.timeout)
    if isinstance(settings, receivers.AppriseReceiver):
        tail = apprise.AppriseNotifier(settings.url.get_secret_value())
        stack.callback(tail.close)
        return Receiver(tail, apprise.render)
    if isinstance(settings, receivers.EmailReceiver):
        mail = email.EmailNotifier(_mailbox(settings), settings.guard, limits=limits)
        stack.callback(mail.close)
        return Receiver(mail, email.render)
    channel, url = _channel(settings)
    notifier = HttpNotifier(channel, url, settings.guard, limits=limits)
    stack.callback(notifier.close)
    return Receiver(
        notifier,
        channel.render,
        channel.rates,
        timing=alertmanager.TIMING if isinstance(channel, Alertmanager) else None,
        stateful=isinstance(channel, Alertmanager | PagerDuty),
    )


def _channel(
    settings: receivers.Signed
    | receivers.SlackReceiver
    | receivers.FeishuReceiver
    | receivers.DingTalkReceiver
    | receivers.WeComReceiver
    | receivers.TeamsReceiver
    | receivers.PagerDutyReceiver
    | receivers.AlertmanagerReceiver,
) -> tuple[Channel, str]:
    """The format and the address of one over HTTP."""
    match settings:
        case receivers.CloudEventsReceiver():
            return CloudEvents(settings.signer), settings.url
        case receivers.Signed():
            return Webhook(settings.signer), settings.url
        case receivers.SlackReceiver():
            return Slack(), settings.url.get_secret_value()
        case receivers.FeishuReceiver():
            return Feishu(_opened(settings.secret)), settings.url.get_secret_value()
        case receivers.DingTalkReceiver():
            return DingTalk(_opened(settings.secret)), settings.url.get_secret_value()
        case receivers.WeComReceiver():
            return WeCom(), settings.url.get_secret_value()
        case receivers.TeamsReceiver():
            return Teams(), settings.url.get_secret_value()
        case receivers.PagerDutyReceiver():
            return PagerDuty(settings.routing_key.get_secret_value()), settings.url
        case receivers.AlertmanagerReceiver():
            return Alertmanager(_opened(settings.token)), settings.url
    assert_never(settings)


def _mailbox(settings: receivers.EmailReceiver) -> email.Mailbox:
    return email.Mailbox(
        settings.host,
        settings.port,
        settings.security,
        settings.sender,
        settings.recipients,
        settings.username,
        _opened(settings.password),
    )


def _opened(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
