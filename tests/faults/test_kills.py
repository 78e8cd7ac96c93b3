"""``kill -9`` of pipeline and delivery, wherever it falls: tests/benchmarks/kills.py in small."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from harness.killed import Killing

KILLS = 25


def test_kills_at_random_moments_lose_no_alert_and_give_no_id_two_bodies(tmp_path: Path) -> None:
    with closing(Killing(tmp_path, seed=20260302)) as killing:
        killing.run(KILLS)
        found = killing.outcome()

        assert [] == found.faults
        assert KILLS == found.main.total() == found.delivery.total() == found.sending.total()
        assert found.alerts >= 3
        assert found.delivered >= 2 * 3
        assert found.documents <= found.published

        # What would have been lost or changed is seen.
        with closing(sqlite3.connect(killing.database)) as database, database:
            database.execute("DELETE FROM documents WHERE id = 'd7'")
            database.execute("UPDATE alerts SET evalue = evalue * 2 WHERE fired_ms IS NOT NULL")
            database.execute("UPDATE notifications SET body = body || ' ' WHERE status != 'dead'")
        told = " ".join(killing.outcome().faults)
        assert "documents: " in told and "alerts: " in told
        assert "another body than the one written" in told
        assert "the topic of scored documents is not complete" in told
