"""Metrics, liveness and readiness over HTTP."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from monitor.errors import ConfigError
from monitor.http import Answer, Checks, HttpServer, _is_loopback, application

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@contextmanager
def served(alive: Checks, ready: Checks, host: str = "127.0.0.1") -> Iterator[str]:
    """A server on a free port; its address."""
    registry = CollectorRegistry()
    Counter("monitor_things_total", "Things.", registry=registry).inc(3)
    server = HttpServer(application(registry, lambda: alive, lambda: ready), host, 0)
    with closing(server):
        server.start()
        name = f"[{host}]" if ":" in host else host
        yield f"http://{name}:{server.port}"


def get(url: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Status, content type and body."""
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - our own address
    try:
        with _direct.open(request, timeout=10) as response:
            return response.status, response.headers["content-type"], response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read().decode()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [("*/*", "text/plain"), ("application/openmetrics-text", "application/openmetrics-text")],
)
def test_metrics_come_in_the_format_that_was_asked_for(accept: str, kind: str) -> None:
    with served({}, {}) as address:
        status, content_type, body = get(f"{address}/metrics", accept)
    assert (200, kind) == (status, content_type.split(";")[0])
    samples = [
        s
        for family in text_string_to_metric_families(body.replace("# EOF", ""))
        for s in family.samples
        if s.name == "monitor_things_total"
    ]
    assert [3.0] == [s.value for s in samples]


def test_health_is_200_while_every_check_passes() -> None:
    with served({"loop": None}, {"model": None, "database": None}) as address:
        assert 200 == get(f"{address}/livez")[0]
        status, _, body = get(f"{address}/readyz")
    assert 200 == status
    assert {"ok": True, "checks": {"model": "ok", "database": "ok"}} == json.loads(body)


def test_a_check_that_fails_is_503_and_says_what_is_wrong() -> None:
    with served({"loop": "no progress for 200 s"}, {"model": None, "database": "locked"}) as at:
        status, _, body = get(f"{at}/readyz")
        assert 503 == get(f"{at}/livez")[0]
    assert 503 == status
    assert {"ok": False, "checks": {"model": "ok", "database": "locked"}} == json.loads(body)


@pytest.mark.parametrize("there", [True, False])
def test_who_speaks_is_json(there: bool) -> None:
    body: dict[str, object] = {"sources": [{"source": "Harbour “Wire”", "state": "blind"}]}
    app = application(
        CollectorRegistry(), dict, dict, sources=(lambda: (200, body)) if there else None
    )
    server = HttpServer(app, "127.0.0.1", 0)
    with closing(server):
        server.start()
        status, kind, said = get(f"http://127.0.0.1:{server.port}/v1/sources")
    assert (200 if there else 404, "application/json") == (status, kind)
    if there:
        assert body == json.loads(said)


def test_there_is_nothing_else() -> None:
    with served({}, {}) as address:
        assert 404 == get(f"{address}/")[0]


def test_a_port_in_use_is_told_at_once() -> None:
    app = application(CollectorRegistry(), dict, dict)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"127.0.0.1:{port} cannot be listened on .*\[http\]"
        ):
            HttpServer(app, "127.0.0.1", port)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be listened on"):
        HttpServer(application(CollectorRegistry(), dict, dict), "192.0.2.1", 0)


def test_an_address_of_ipv6_is_served_too() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with served({}, {}, host="::1") as address:
        assert 200 == get(f"{address}/livez")[0]


def test_a_server_that_was_never_started_gives_its_port_back() -> None:
    app = application(CollectorRegistry(), dict, dict)
    server = HttpServer(app, "127.0.0.1", 0)
    server.close()
    with socket.create_server(("127.0.0.1", server.port)) as other:
        assert server.port == other.getsockname()[1]


def post(url: str, **headers: str) -> tuple[int, dict[str, object]]:
    """Status and JSON body of an empty POST."""
    request = urllib.request.Request(url, data=b"", headers=headers)  # noqa: S310 - our own address
    try:
        with _direct.open(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_reload_is_asked_for_by_post_and_from_this_machine_alone() -> None:
    asked: list[str] = []

    def reload() -> Answer:
        asked.append("reload")
        return 500, {"ok": False, "news": "hash"}

    app = application(CollectorRegistry(), dict, dict, reload)
    with closing(HttpServer(app, "127.0.0.1", 0)) as server:
        server.start()
        url = f"http://127.0.0.1:{server.port}/-/reload"
        assert 405 == get(url)[0]
        assert 403 == post(url, Origin="https://example.com")[0]
        assert [] == asked
        assert (500, {"ok": False, "news": "hash"}) == post(url)
        assert ["reload"] == asked


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.7", False),
        ("::ffff:10.0.0.7", False),
        ("2001:db8::1", False),
        ("testclient", False),
        ("", False),
    ],
)
def test_this_machine_is_known_by_its_address(host: str, ours: bool) -> None:
    assert ours == _is_loopback(host)


def test_where_there_is_nothing_to_reload_it_says_so() -> None:
    with served({}, {}) as address:
        assert 404 == post(f"{address}/-/reload")[0]
