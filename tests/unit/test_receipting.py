"""``GET /v1/alerts/{id}/receipt``: who may read one, and that it is the very bytes."""

from __future__ import annotations

from harness.alerts import NOW
from starlette.applications import Starlette
from starlette.testclient import TestClient

from monitor.errors import StoreError
from monitor.push.keys import ApiKey, Keyring
from monitor.receipt.base import sha256_of
from monitor.receipting import receipt_routes
from monitor.store.base import KeptReceipt
from monitor.store.memory import MemoryDatabase
from monitor.store.receipts.memory import MemoryReceipts

KEY = {"Authorization": "Bearer right"}
BODY = b'{"figures":{"evalue":1.0000000000000002}}'
PLACE = "/v1/alerts/a/receipt"


def client(*keys: ApiKey, receipts: MemoryReceipts | None = None) -> TestClient:
    database = MemoryDatabase()
    database.receipts["a"] = KeptReceipt("a", NOW, BODY)
    routes = receipt_routes(receipts or MemoryReceipts(database), Keyring(list(keys)))
    return TestClient(Starlette(routes=routes))


def test_a_key_that_judges_reads_the_very_bytes_that_were_hashed() -> None:
    http = client(ApiKey("desk", "right"))
    answer = http.get(PLACE, headers=KEY)
    assert (200, BODY) == (answer.status_code, answer.content)
    assert f'"{sha256_of(BODY)}"' == answer.headers["etag"]
    assert "application/json" == answer.headers["content-type"]
    assert 404 == http.get("/v1/alerts/b/receipt", headers=KEY).status_code


def test_without_a_key_nobody_reads_it() -> None:
    http = client(ApiKey("desk", "right"))
    assert 401 == http.get(PLACE).status_code
    assert 401 == http.get(PLACE, headers={"Authorization": "Bearer wrong"}).status_code
    answer = client().get(PLACE, headers=KEY)
    assert 404 == answer.status_code
    assert "verdicts = true" in answer.json()["detail"]


def test_a_database_that_does_not_answer_asks_to_come_again() -> None:
    class Broken(MemoryReceipts):
        def find(self, alert_id: str) -> KeptReceipt | None:
            raise StoreError(f"no connection for {alert_id}")

    http = client(ApiKey("desk", "right"), receipts=Broken(MemoryDatabase()))
    answer = http.get(PLACE, headers=KEY)
    assert (503, "5") == (answer.status_code, answer.headers["retry-after"])
