"""The sessions' part of `config.yaml`, and what is said of a broken file."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessions.config import AgentLimits, ConfigError, Limits, Settings, load_settings, parse_duration

Load = Callable[..., Settings]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str | bytes, **environ: str) -> Settings:
        file = tmp_path / "config.yaml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings(file, environ={"HOME": "/home/ann", **environ})

    return load_text


def test_an_agent_without_words_has_the_contracts_defaults(load: Load) -> None:
    settings = load("agents: {reviewer: {}}")
    agent = settings.agents["reviewer"]
    assert agent.on == ("opened", "synchronized", "mentioned", "review_requested")
    assert (agent.backend, agent.image, agent.network) == ("docker", "bottlepost/claude:latest", "bridge")
    assert (agent.model, agent.prompts, agent.reply, agent.checkout) == (None, None, "comment", True)
    assert (agent.env, agent.extra_hosts) == (("ANTHROPIC_API_KEY",), ())
    assert agent.limits == AgentLimits(turns=30, minutes=30, usd=2.0, rotate_tokens=120_000)
    assert settings.limits == Limits(parallel=2, usd_per_day=20)
    assert settings.state == Path("/home/ann/.bot-bottle")
    assert settings.database is None


def test_the_forges_keys_are_none_of_the_bottles_business(load: Load) -> None:
    load("gitea: {url: 7, token: '${UNSET}'}\nrepos: nonsense\npoll: []\ntrust: []\nstate: /s")
    assert load("state: /s").agents == {}
    assert load("agents:").agents == {}


def test_on_is_a_word_and_a_date_is_a_text(load: Load) -> None:
    agent = load("agents:\n  r:\n    on: [opened]\n    model: 2026-11-01").agents["r"]
    assert agent.on == ("opened",)
    assert agent.model == "2026-11-01"


def test_relative_paths_begin_beside_the_file_and_a_tilde_is_the_home(load: Load, tmp_path: Path) -> None:
    assert load("state: ../state").state == tmp_path.parent / "state"
    assert load("state: ~/x").state == Path("/home/ann/x")
    assert load("agents: {r: {prompts: words}}").agents["r"].prompts == str(tmp_path / "words")


def test_variables_are_replaced_in_values(load: Load) -> None:
    settings = load(
        'state: ${BASE}/state\ndatabase: ${DB:-}\nlimits: {parallel: "${JOBS:-3}"}\n'
        'agents: {r: {model: "$${X} ${EMPTY:-x}", on: ["${WORD}", b]}}'.replace("database: ${DB:-}\n", ""),
        BASE="/base",
        EMPTY="",
        WORD="opened",
    )
    assert settings.state == Path("/base/state")
    assert settings.limits.parallel == 3
    assert settings.agents["r"].model == "${X} x"
    assert settings.agents["r"].on == ("opened", "b")


def test_a_value_from_a_variable_is_not_replaced_again(load: Load) -> None:
    assert load("agents: {r: {model: '${A}'}}", A="${B}", B="no").agents["r"].model == "${B}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents: {r: {limits: {usd: two}}}", "agents.r.limits.usd: found 'two', expected a number above 0"),
        ("limits: {parallel: 0}", "limits.parallel: found 0, expected a whole number, 1 or more"),
        ("limits: {parallel: true}", "limits.parallel: found true, expected a whole number, 1 or more"),
        ("limits: {parallel: [1]}", "limits.parallel: found a list, expected a whole number, 1 or more"),
        ("limits: 5", "limits: found 5, expected a mapping (`key: value` lines)"),
        ("agents: {r: {on: opened}}", "agents.r.on: found 'opened', expected a list; write [opened]"),
        ("agents: {r: {on: [1]}}", "agents.r.on[0]: found 1, expected a text"),
        ("agents: {r: {checkout: yes}}", "agents.r.checkout: found 'yes', expected true or false"),
        ("agents: {r: {model: 4}}", "agents.r.model: found 4, expected a text or null"),
        ("agents: {1: {}}", "agents.1: found a key that is no text, expected a name; quote it"),
        ("state: ''", "state: found an empty text, expected a text that is not empty"),
        ("state: ${", "state: found a ${ without a name, expected ${NAME} or ${NAME:-default}; "),
        ("state: ${1A}", "state: found a ${ without a name, expected ${NAME} or ${NAME:-default}; "),
        ("[1]", "found a list, expected a mapping (`key: value` lines)"),
        ("just words", "found a str, expected a mapping (`key: value` lines)"),
        ("", "found an empty file, expected `key: value` lines; run `poll init`"),
        ("# only a comment\n", "found an empty file, expected `key: value` lines; run `poll init`"),
        ("a: &x\n  b: *x", "a: found an unknown key"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(complaint: Callable[..., str], text: str, said: str) -> None:
    assert complaint(text).startswith(said)


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("agents: {r: {limts: {}}}", "did you mean `limits`?"),
        ("stat: /x", "did you mean `state`?"),
        ("agents: {r: {backend: dokcer}}", "did you mean `docker`?"),
        ("agents: {r: {zzz: 1}}", "remove it"),
        ("agents: {r: {env: [A=b]}}", "name it only: its value passes unchanged from the environment"),
        ("agents: {'../x': {}}", "40 at most"),
    ],
)
def test_the_mend_is_named(complaint: Callable[..., str], text: str, mend: str) -> None:
    assert complaint(text).endswith(mend)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("state: a\nlimits:\n\tparallel: 1", "line 3, column 1: found a tab, expected spaces; indent with spaces"),
        ("state: a\nstate: b", "line 2, column 1: the key `state` is there twice; keep one"),
        ("agents:\n  r: {on: [a], on: [b]}", "line 2, column 16: the key `on` is there twice; keep one"),
        (
            "repos:\n  - !acme/attic",
            'line 2, column 5: found !acme/attic without quotes, expected a text; write "!acme',
        ),
        ("limits: {parallel: ${N}}", "line 1, column 21: did not find expected ',' or '}'; check brackets"),
        ("state: 'x", "line 1, column 10: found unexpected end of stream; check the indentation and the quotes there"),
        ("x: !!python/object/apply:os.getcwd []", "line 1, column 4: could not determine a constructor"),
        ("{[a]: b}", "line 1, column 2: a key must be a text"),
        ("a: 1\n---\nb: 2", "line 2, column 1: a second document begins here, expected one; remove the `---`"),
        (b"state: \xff", "found bytes that are not UTF-8, expected text; save it as UTF-8"),
        (b"state: a\x00b", "line 1, column 9: found the character U+0000, expected text; remove it"),
        (
            "# \u00e9\u20ac\nstate: '\u00fc\x07'",
            "line 2, column 10: found the character U+0007, expected text; remove it",
        ),
        ("[" * 100_000, "found values nested too deeply"),
    ],
)
def test_a_file_that_is_not_yaml_is_one_line_with_the_place(
    complaint: Callable[..., str], text: str | bytes, said: str
) -> None:
    assert said in complaint(text)


def test_an_unset_variable_is_named_with_its_key_and_mend(complaint: Callable[..., str]) -> None:
    assert complaint("agents: {r: {model: '${MODEL}'}}") == (
        "agents.r.model: found the variable MODEL, which is not set, expected a set one;"
        " export MODEL, or write ${MODEL:-default}"
    )


def test_what_comes_from_a_variable_or_may_hold_a_password_is_not_shown(complaint: Callable[..., str]) -> None:
    said = complaint("limits: {parallel: 'x${A}'}", A="hunter2")
    assert said == "limits.parallel: found a value from the variable A, expected a whole number, 1 or more"
    assert "hunter2" not in complaint("database: mysql://u:hunter2@h/db")
    assert "hunter2" not in complaint("database: '${A}'", A="hunter2")
    assert "hunter2" not in complaint("agents: {r: {env: [KEY=hunter2]}}")
    assert "hunter2" not in complaint("agents: {r: {env: ['${A}']}}", A="x=hunter2")
    assert "hunter2" not in complaint("agents: hunter2")


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file; run `poll init`"):
        load_settings(tmp_path / "none.yaml", environ={})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, environ={})


def test_nothing_is_made_by_reading(load: Load, tmp_path: Path) -> None:
    load("state: state")
    assert [entry.name for entry in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("30s", 30), ("10m", 600), ("24h", 86_400), ("7d", 604_800), ("1.5m", 90)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "-1s", "1w", "1h30m", "٣s", "1 s", "1e3s", "nan", "inf"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="write a number and one of s, m, h, d"):
        parse_duration(text)


@given(st.text())
def test_whatever_stands_in_the_file_is_settings_or_one_line(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "config.yaml")
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            load_settings(file, environ={})
        except ConfigError as error:
            assert not re.search(r"[\r\n]", str(error))
