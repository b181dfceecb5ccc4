"""Trouble to order, the log of requests, and a server that goes when it is told to."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from poller.demo.world import World
from tests.demo.recorded import asking


def a_world() -> World:
    world = World()
    world.repo("acme/api", private=True, collaborators={"bot": "write"}).open_pull(by="ana")
    return world


def test_a_fault_strikes_as_often_as_it_was_ordered() -> None:
    world = a_world()
    world.fault("GET …timeline", status=500, times=2)
    world.fault("/user", status=429, retry_after=7)
    with asking(world) as client:
        codes = [client.get("/repos/acme/api/issues/1/timeline").status_code for _ in range(3)]
        assert codes == [500, 500, 200]
        assert client.get("/version").status_code == 200
        assert client.get("/user").headers["Retry-After"] == "7"


def test_a_proxys_login_page_is_a_200() -> None:
    world = a_world()
    world.fault("search", html=True)
    with asking(world) as client:
        answer = client.get("/repos/issues/search")
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_a_connection_is_cut_in_the_middle_of_the_body() -> None:
    world = a_world()
    world.fault("GET /user", cut=True)
    with asking(world) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.get("/user")
        assert client.get("/user").status_code == 200


def test_an_accepted_post_can_lose_its_answer() -> None:
    world = a_world()
    pull = world.repo("acme/api").pulls[1]
    world.fault("POST …comments", drop_after_accept=True)
    with asking(world) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            client.post("/repos/acme/api/issues/1/comments", json={"body": "once"})
    assert [comment.body for comment in pull.comments] == ["once"]
    assert [(one.method, one.status) for one in world.requests] == [("POST", 201)]


def test_a_slow_answer_does_not_hold_up_others() -> None:
    world = a_world()
    world.fault("/user", delay=60.0)
    with asking(world) as client, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.get, "/user", timeout=0.3)
        began = time.monotonic()
        assert client.get("/version").status_code == 200
        assert time.monotonic() - began < 30
        with pytest.raises(httpx.TimeoutException):
            slow.result()


def test_requests_are_logged_with_who_asked() -> None:
    world = a_world()
    with asking(world) as client:
        client.get("/version")
        client.get("/repos/issues/search?type=pulls")
        client.get("/nonesuch")
    assert [tuple(one) for one in world.requests] == [
        ("GET", "/version", "", "bot", 200),
        ("GET", "/repos/issues/search", "type=pulls", "bot", 200),
        ("GET", "/nonesuch", "", "bot", 404),
    ]
    world.reset_requests()
    assert world.requests == []


def test_the_date_header_follows_the_worlds_clock() -> None:
    world = a_world()
    world.clock.set("2026-11-21T07:00:00Z")
    with asking(world) as client:
        assert client.get("/version").headers["Date"] == "Sat, 21 Nov 2026 07:00:00 GMT"


def test_closing_ends_connections_that_are_kept_alive() -> None:
    world = a_world()
    before = set(threading.enumerate())
    server = world.serve()
    with httpx.Client() as client:
        client.get(f"{server.url}/api/v1/version")
        server.close()
        with pytest.raises(httpx.TransportError):
            client.get(f"{server.url}/api/v1/version")
    assert set(threading.enumerate()) <= before


def test_a_prefix_is_part_of_the_address() -> None:
    world = a_world()
    with world.serve(prefix="/git") as server, httpx.Client() as client:
        assert server.url.endswith("/git")
        assert client.get(f"{server.url}/api/v1/version").status_code == 200
        assert client.get(f"{server.url.removesuffix('/git')}/api/v1/version").status_code == 404


def test_many_threads_act_and_read_at_once() -> None:
    world = a_world()
    pull = world.repo("acme/api").pulls[1]
    with asking(world) as client, ThreadPoolExecutor(4) as pool:
        acts = [pool.submit(pull.comment, f"c{number}", by="ana") for number in range(50)]
        reads = [pool.submit(client.get, "/repos/acme/api/issues/1/comments") for _ in range(20)]
        assert all(read.result().status_code == 200 for read in reads)
        ids = [act.result().id for act in acts]
    assert len(set(ids)) == 50
    assert pull.counter == 50
