"""What the daemon tells to machines: figures and health, on loopback, and nothing of pulls or people."""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families as parsed

from poller.demo.repos import Repo
from poller.demo.world import World
from tests.acceptance.bot import Bot
from tests.acceptance.calls import Running, until


def address(running: Running) -> str:
    found = until(lambda: re.search(r"metrics=(http://\S+)/metrics", running.err), "it listens")
    assert found is not None
    return found[1]


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()


def figures(url: str) -> dict[str, float]:
    """`name` with the values of its labels, in the order of their names → value."""
    code, page = get(f"{url}/metrics")
    assert code == 200, page
    return {
        sample.name + "".join(f" {value}" for _, value in sorted(sample.labels.items())): sample.value
        for family in parsed(page)
        for sample in family.samples
    }


def test_a_daemon_tells_its_figures_and_its_health(bot: Bot, repo: Repo, world: World) -> None:
    bot.configure(poll={"every": "1s"})
    pull = repo.open_pull(by="ana", title="Secret plans")
    running = bot.start("--metrics", "127.0.0.1:0")
    url = address(running)
    until(lambda: bot.comments(pull), "the answer is posted")
    now = until(lambda: (found := figures(url)).get("bottlepost_runs_total reviewer done turn") and found, "it counts")
    assert now["bottlepost_healthy"] == 1
    assert now["bottlepost_last_success_age_seconds"] < 60
    assert now["bottlepost_requests_total"] >= len([one for one in world.requests if one.method == "GET"]) / 3
    assert now["bottlepost_events_total"] in (1, 2), "its own answer may have been seen by now"
    assert (now["bottlepost_turns waiting"], now["bottlepost_problems"]) == (0, 0)
    assert now["bottlepost_cost_usd_total reviewer"] > 0
    assert now["bottlepost_tokens_total reviewer output"] > 0
    assert {"bottlepost_event_lag_seconds", "bottlepost_unsent_posts", "bottlepost_pauses"} <= now.keys()
    assert get(f"{url}/healthz") == (200, "healthy\n")
    assert get(f"{url}/")[0] == 404
    page = get(f"{url}/metrics")[1]
    assert not {word for word in ("Secret plans", "acme", "ana") if word in page}
    world.fault("…", status=500, times=None)
    assert until(lambda: get(f"{url}/healthz")[0] == 503, "it is not well any more")
    running.kill()


def test_where_it_cannot_listen_it_says_so(bot: Bot) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert "cannot listen there" in bot.poll("--metrics", str(port), code=2).complaint
    assert "expected HOST:PORT" in bot.poll("--metrics", "here", code=2).complaint
    assert "--metrics goes with the daemon" in bot.poll("--once", "--metrics", "1", code=2).complaint
