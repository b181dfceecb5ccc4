"""Log lines: one line each, about whom, and no secret."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from sessions import logs

log = logging.getLogger("poller.test_logs")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    ours = [logging.getLogger(name) for name in ("poller", "sessions")]
    levels = [logger.level for logger in ours]
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for logger, old in zip(ours, levels, strict=True):
        logger.setLevel(old)
    logs._secrets.clear()


@pytest.fixture
def text() -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(stream=stream)
    return stream


@pytest.fixture
def jsonl() -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(stream=stream, log_format="json")
    return stream


def test_a_line_has_time_level_event_and_pairs(text: io.StringIO) -> None:
    log.info("turn started", extra=logs.fields(mode="fresh", agent="the reviewer", pid=7, resumed=False, model=None))
    time, _, rest = text.getvalue().rstrip("\n").partition(" ")
    assert time.endswith("Z") and "T" in time
    assert rest == 'INFO turn started mode=fresh agent="the reviewer" pid=7 resumed=false model=-'


def test_each_line_says_which_pull_turn_and_bottle_it_is_about(text: io.StringIO, jsonl: io.StringIO) -> None:
    with logs.bound(pull="h/acme/api#7"):
        with logs.bound(turn=3, bottle="reviewer-k3x9q"):
            log.info("inside")
        log.info("outside")
    inside, outside = (json.loads(line) for line in jsonl.getvalue().splitlines())
    assert (inside["pull"], inside["turn"], inside["bottle"]) == ("h/acme/api#7", 3, "reviewer-k3x9q")
    assert outside["pull"] == "h/acme/api#7" and "turn" not in outside


def test_threads_do_not_speak_in_each_others_name(jsonl: io.StringIO) -> None:
    both_inside = threading.Barrier(2)

    def speak(name: str) -> None:
        with logs.bound(pull=name):
            both_inside.wait(timeout=10)
            log.info(name)

    threads = [threading.Thread(target=speak, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in jsonl.getvalue().splitlines()]
    assert sorted((line["event"], line["pull"]) for line in lines) == [("one", "one"), ("two", "two")]


HOSTILE = "nice\n2026-01-01T00:00:00.000Z INFO paid\r\x1b[2J\u2028\u202eabc\x85\x00"


def test_a_comment_cannot_forge_a_line(text: io.StringIO) -> None:
    log.info("comment", extra=logs.fields(body=HOSTILE))
    log.info(HOSTILE)
    assert len(text.getvalue().splitlines()) == 2
    assert not set(text.getvalue()) & set("\r\x1b\u2028\u202e\x85\x00")
    assert r"nice\n2026" in text.getvalue()


def test_a_comment_cannot_forge_a_json_line(jsonl: io.StringIO) -> None:
    log.info("comment", extra=logs.fields(body=HOSTILE))
    (line,) = jsonl.getvalue().splitlines()
    assert json.loads(line)["body"] == HOSTILE
    assert not set(line) & set("\r\x1b\u2028\u202e\x85\x00")


def test_quotes_and_equal_signs_in_a_value_stay_inside_it(text: io.StringIO) -> None:
    log.info("x", extra=logs.fields(body='a" turn="9', path="C:\\x"))
    assert text.getvalue().endswith(' INFO x body="a\\" turn=\\"9" path="C:\\\\x"\n')


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_secret_appears_in_no_line_whoever_logs_it(log_format: logs.LogFormat) -> None:
    stream = io.StringIO()
    logs.set_up(stream=stream, log_format=log_format, verbose=2)
    logs.hide('tok/en+"1"')
    log.info('with tok/en+"1" in it', extra=logs.fields(header='token tok/en+"1"', nested={"a": ['tok/en+"1"']}))
    logging.getLogger("some.library").debug("GET /x?token=%s", "tok%2Fen%2B%221%22")
    try:
        raise ValueError('tok/en+"1"')
    except ValueError:
        log.exception("failed")
    out = stream.getvalue()
    assert "en+" not in out and "en%2B" not in out
    assert "[hidden]" in out and "ValueError" in out


def test_too_short_a_secret_does_not_make_lines_unreadable(text: io.StringIO) -> None:
    logs.hide("a")
    logs.hide("")
    log.info("a banana")
    assert text.getvalue().endswith("a banana\n")


def test_a_traceback_cannot_be_taken_for_lines_of_the_log(text: io.StringIO) -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")
    first, *rest = text.getvalue().splitlines()
    assert first.endswith("ERROR failed")
    assert rest and all(line.startswith("  | ") for line in rest)


def test_libraries_are_quiet_unless_asked(text: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET …")
    log.debug("detail")
    assert text.getvalue() == ""
    loud = io.StringIO()
    logs.set_up(stream=loud, verbose=1)
    logging.getLogger("httpx").info("HTTP Request: GET …")
    log.debug("detail")
    assert loud.getvalue().endswith("DEBUG detail\n") and "HTTP Request" not in loud.getvalue()


def test_setting_up_twice_does_not_double_lines(text: io.StringIO) -> None:
    second = io.StringIO()
    logs.set_up(stream=second)
    log.info("once")
    assert text.getvalue() == "" and second.getvalue().count("once") == 1
