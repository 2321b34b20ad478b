"""A run whose record can't be read: an answer in words, and every other run is told as ever."""

from __future__ import annotations

import uuid
from pathlib import Path

import redis as driver

from webservice import Site


def test_a_record_that_can_t_be_read_is_no_500(site: Site, tmp_path: Path) -> None:
    """Its state is unknown, with a reason; what is asked of it is 503; the list and its stream have the others."""
    small = tmp_path / "small.csv"
    small.write_text("id,name\n1,one\n")
    bad, good = (site.demo.upload(small, table=f"t_{uuid.uuid4().hex[:12]}").json["task_id"] for _ in range(2))
    for name in (bad, good):
        site.until(name, "completed")
    with driver.Redis.from_url(site.redis.url) as client:
        (key,) = [key for key in client.keys("webapp:*") if client.type(key) == b"hash" and client.hexists(key, bad)]
        client.hset(key, bad, "garbage")
    answer = site.demo.ask("GET", f"/tasks/{bad}/")
    assert (200, "unknown") == (answer.status, answer.json["status"])
    assert "can't be read" in answer.json["message"]
    told = {task["task_id"]: task["status"] for task in site.demo.ask("GET", "/tasks/").json["tasks"]}
    assert ("unknown", "completed") == (told[bad], told[good])
    for action in ("pause", "resume", "terminate"):
        refused = site.demo.put(bad, action)
        assert (503, True) == (refused.status, "can't be read" in refused.json["error"])
