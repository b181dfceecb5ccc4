"""The whole `config.yaml`: read, refused, and described for editors."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trustme
import yaml

from poller import config
from poller.config import Config
from poller.patterns import Watchlist
from poller.scalars import Secret, start_of, wake_words

ROOT = Path(__file__).parents[2]
TOP = "gitea: {url: 'https://gitea.example.com', token: t0ken}\nrepos: [acme/api]\n"

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str, **environ: str) -> Config:
        file = tmp_path / "config.yaml"
        file.write_text(text, encoding="utf-8")
        return config.load(file, environ={"HOME": "/home/ann", **environ})

    return load_text


def test_the_smallest_file_has_the_contracts_defaults(load: Load) -> None:
    found = load(TOP)
    assert (found.poll.every, found.poll.sweep, found.poll.overlap, found.poll.start) == (30, 600, 300, "now")
    assert found.poll.requests_per_minute == 30 and found.ca_file is None
    assert (found.trust.who, found.trust.forks) == ("writers", "ask")
    assert found.agents == {} and found.database is None
    assert found.forge == "gitea.example.com"
    assert (found.token.reveal(), found.token_file) == ("t0ken", found.path)


def test_the_shipped_file_is_the_template_and_says_what_the_defaults_are(load: Load) -> None:
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
    assert text == (ROOT / "poller" / "config_template.yaml").read_text(encoding="utf-8")
    shipped, smallest = load(text, GITEA_TOKEN="t0ken"), load(TOP + "agents: {reviewer: {}}")
    assert shipped.token_file is None
    assert shipped.owners == ("acme",)
    for name in ("poll", "trust", "limits", "agents", "state", "database"):
        assert getattr(shipped, name) == getattr(smallest, name), name


@pytest.mark.parametrize(
    ("url", "forge"),
    [
        ("https://Gitea.Example.com/", "gitea.example.com"),
        ("http://localhost:3000", "localhost:3000"),
        ("https://example.com/git/", "example.com/git"),
        ("https://example.com:443", "example.com"),
        ("http://[::1]:3000", "[::1]:3000"),
    ],
)
def test_the_forges_name_in_keys(load: Load, url: str, forge: str) -> None:
    assert load(TOP.replace("https://gitea.example.com", url)).forge == forge


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("gitea.example.com", "it begins with http:// or https://"),
        ("ssh://gitea.example.com", "it begins with http:// or https://"),
        ("https://", "it begins with http:// or https://"),
        ("https://u:hunter2@gitea.example.com", "no name or password belongs into the address: use `token`"),
        ("https://gitea.example.com/api/v1", "leave out `/api/v1`"),
        ("https://gitea.example.com/?token=hunter2", "leave out `/api/v1`, `?…` and `#…`"),
        ("https://gitea.example.com:99999", "the host or port is not one"),
        ("https://gitea.example.com:x", "the host or port is not one"),
        ("http://::1:3000", "write an address of IPv6 in brackets: http://[::1]:3000"),
        ("http://[::1", "the host or port is not one"),
    ],
)
def test_a_bad_address(complaint: Callable[..., str], url: str, said: str) -> None:
    line = complaint(TOP.replace("https://gitea.example.com", url))
    assert line.startswith("gitea.url: found ") and said in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("pattern", "mend"),
    [
        ("acme", "write acme/* for all repositories of that owner"),
        ("https://gitea.example.com/acme/api.git", "leave out the address: write acme/api"),
        ("acme/api/x", "spaces and other characters cannot be in a repository's name"),
        ("acme/a b", "spaces and other characters"),
        ("*/*", "spaces and other characters"),
        ("acme/..", "spaces and other characters"),
        ("acme/a*", "spaces and other characters"),
        ("!!acme/api", "spaces and other characters"),
        ("", "write owner/* for all"),
    ],
)
def test_a_bad_repository_name(complaint: Callable[..., str], pattern: str, mend: str) -> None:
    line = complaint(TOP.replace("[acme/api]", f"[acme/web, '{pattern}']"))
    assert line.startswith("repos[1]: found ")
    assert mend in line


def test_something_must_be_watched(complaint: Callable[..., str]) -> None:
    assert complaint(TOP.replace("[acme/api]", "['!acme/api']")).startswith("repos: found only exclusions")
    undone = "[acme/api, '!Acme/*']"
    assert complaint(TOP.replace("[acme/api]", undone)).startswith("repos: found nothing that is not excluded")
    assert complaint(TOP.replace("[acme/api]", "[]")).startswith("repos: found an empty list")
    assert complaint("gitea: {url: 'https://x', token: t}").startswith("repos: found nothing, expected a list, each")
    assert complaint("repos: [acme/api]").startswith("gitea: found nothing, expected a mapping")


def test_exclusions_win_and_case_does_not_matter() -> None:
    watched = Watchlist.of(["Acme/*", "other/One", "!acme/Attic", "third/*", "!third/*", "third/x"])
    assert watched.watches("ACME/api") and watched.watches("Other/one")
    assert not watched.watches("acme/attic")
    assert not watched.watches("other/two") and not watched.watches("third/x") and not watched.watches("acmeX/api")
    assert watched.owners == ("Acme",), "what is taken back need not be asked for"
    assert watched.wanted == ("Acme/*", "other/One")


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ("poll: {every: 30}", "poll.every: found 30, expected a duration such as 30s, 10m, 24h or 7d; write 30s if"),
        ("poll: {every: 0s}", "poll.every: found 0s, expected 1s or more"),
        ("poll: {sweep: -1s}", "poll.sweep: found '-1s', expected a duration"),
        ("poll: {start: yesterday}", "poll.start: found 'yesterday', expected now, a duration such as 24h, or a time"),
        ("poll: {start: 2026-13-01}", "poll.start: found '2026-13-01', expected now"),
        ("trust: {who: writer}", "trust.who: found 'writer', expected writers, collaborators, everyone, or a list"),
        (
            "trust: {who: ana}",
            "trust.who: found 'ana', expected writers, collaborators, everyone, or a list of logins; w",
        ),
        ("trust: {who: ['@ana']}", "trust.who: found a list, expected writers, collaborators, everyone, or a list of"),
        ("trust: {who: [7]}", "trust.who: found a list, expected writers, collaborators, everyone, or a list of"),
        ("trust: {forks: no}", "trust.forks: found 'no', expected one of always, ask, never"),
        ("agents: {r: {on: [open]}}", "agents.r.on[0]: found 'open', expected one of opened, synchronized, "),
        ("agents: {r: {on: ['labeled:']}}", "agents.r.on[0]: found 'labeled:', expected one of "),
        ("poll: {requests_per_minute: 0}", "poll.requests_per_minute: found 0, expected a number above 0"),
        ("poll: {requests_per_minute: many}", "poll.requests_per_minute: found 'many', expected a number above 0"),
        ("poll: {requests_per_minute: .inf}", "poll.requests_per_minute: found "),
        ("poll: {requests_per_minute: .nan}", "poll.requests_per_minute: found "),
        ("polls: {}", "polls: found an unknown key, expected one of "),
    ],
)
def test_a_wrong_value_is_named_with_its_key(complaint: Callable[..., str], part: str, said: str) -> None:
    assert complaint(TOP + part).startswith(said)


def test_what_may_wake_an_agent(load: Load) -> None:
    words = [*wake_words(), "labeled:needs review"]
    assert load(TOP + f"agents: {{r: {{on: {words}}}}}").agents["r"].on == tuple(words)


def test_trusted_people_are_a_group_or_logins_in_any_case(load: Load) -> None:
    assert load(TOP + "trust: {who: everyone}").trust.who == "everyone"
    assert load(TOP + "trust: {who: [Ana, '${WHO}']}", WHO="Bob").trust.who == ("ana", "bob")
    assert load(TOP + "trust: {who: []}").trust.who == ()


def test_the_token_can_be_in_a_file(load: Load, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("t0ken\n", encoding="utf-8")
    found = load(TOP.replace("token: t0ken", "token_file: secret"))
    assert (found.token.reveal(), found.token_file) == ("t0ken", tmp_path / "secret")


def test_a_token_that_cannot_be_had(complaint: Callable[..., str], tmp_path: Path) -> None:
    in_file = TOP.replace("token: t0ken", "token_file: secret")
    assert "which cannot be read (No such file or directory)" in complaint(in_file)
    (tmp_path / "secret").write_bytes(b" \n")
    assert f"gitea.token_file: found {tmp_path}/secret, which is empty" in complaint(in_file)
    (tmp_path / "secret").write_bytes(b"hun ter2")
    assert "ter2" not in complaint(in_file)
    (tmp_path / "secret").write_bytes(b"\xff")
    assert "(not text)" in complaint(in_file)
    assert complaint(TOP.replace(", token: t0ken", "")).startswith("gitea.token: found nothing, expected an access tok")
    both = complaint(TOP.replace("token: t0ken", "token: hunter2, token_file: x"))
    assert both.startswith("gitea: found both `token` and `token_file`") and "hunter2" not in both


WITH_CA = TOP.replace("token: t0ken", "token: t0ken, ca_file: ca.pem")


def test_certificates_of_ones_own_are_in_a_file_beside_the_config(load: Load, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    assert load(WITH_CA).ca_file == tmp_path / "ca.pem"
    assert load(WITH_CA.replace("ca.pem", "'${CA}'"), CA=str(tmp_path / "ca.pem")).ca_file == tmp_path / "ca.pem"
    assert load(WITH_CA.replace("ca.pem", "null")).ca_file is None
    (tmp_path / "ca.pem").write_bytes(b"# ours\n" + (tmp_path / "ca.pem").read_bytes() * 2)
    assert load(WITH_CA).ca_file is not None, "a bundle"


def test_certificates_that_cannot_be_had(complaint: Callable[..., str], tmp_path: Path) -> None:
    file, authority = tmp_path / "ca.pem", trustme.CA()
    assert complaint(WITH_CA).startswith(
        f"gitea.ca_file: found {file}, which cannot be read (No such file or directory), expected a file of cert"
    )
    key = authority.issue_cert("example.com").private_key_pem.bytes()
    for content in (b"", b"words", b"\xff\x00", key, authority.cert_pem.bytes()[:300]):
        file.write_bytes(content)
        assert "which holds no certificate, expected a file of certificates (PEM)" in complaint(WITH_CA)
    file.unlink()
    file.mkdir()
    assert "gitea.ca_file: found " in complaint(WITH_CA)


@pytest.mark.parametrize("token", ["'hun ter2'", "123456", "''", "[hunter2]", '"hunter2\\nX: y"', "hüñter2"])
def test_a_token_is_never_shown(complaint: Callable[..., str], token: str) -> None:
    line = complaint(TOP.replace("t0ken", token))
    assert line.startswith("gitea.token: found ")
    assert "ter2" not in line and "123456" not in line


def test_an_unset_token_is_named_and_an_empty_one_too(complaint: Callable[..., str]) -> None:
    text = TOP.replace("t0ken", "'${GITEA_TOKEN}'")
    assert "found the variable GITEA_TOKEN, which is not set" in complaint(text)
    assert "found a value from the variable GITEA_TOKEN, expected an access token" in complaint(text, GITEA_TOKEN="a b")
    expected = "gitea.token: found the variable GITEA_TOKEN, which is empty, expected an access token; set it"
    assert expected in complaint(text, GITEA_TOKEN="") and expected in complaint(text, GITEA_TOKEN=" \n")
    jobs = "limits: {parallel: '${JOBS:-}'}"
    assert "limits.parallel: found the variable JOBS, which is empty, expected" in complaint(TOP + jobs, JOBS="")
    assert "limits.parallel: found the variable JOBS, which is not set, expected" in complaint(TOP + jobs)


def test_a_secret_does_not_slip_out(load: Load) -> None:
    found = load(TOP)
    assert "t0ken" not in f"{found} {found!r} {found.token} {found.token!r}"
    with pytest.raises(TypeError):
        pickle.dumps(found.token)
    assert found.token == Secret("t0ken") and found.token != Secret("other")


def test_a_start_is_a_moment() -> None:
    assert start_of("now", now=1000.0) == 1000.0
    assert start_of("10m", now=1000.0) == 400.0
    assert start_of("2026-11-01T00:00:00Z", now=0) == start_of("2026-11-01", now=5) == 1793491200.0
    assert start_of("2026-11-01T02:00:00+02:00", now=0) == 1793491200.0


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = config.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def seen_by_an_editor(text: str) -> Any:
    from sessions.yamlfile import _Loader

    return yaml.load(text, _Loader)


def test_the_schema_accepts_what_is_accepted(validator: Any) -> None:
    validator.validate(seen_by_an_editor((ROOT / "config.yaml").read_text(encoding="utf-8")))
    for more in (
        "agents:",
        "trust: {who: [ana]}",
        "limits: {parallel: '${JOBS:-2}'}",
        "poll: {every: '${EVERY}'}",
        "agents: {r: {checkout: '${C}', on: ['labeled:x', '${W}'], limits: {usd: 1}}}",
        "database: postgresql://h/db",
    ):
        validator.validate(seen_by_an_editor(TOP + more))


@pytest.mark.parametrize(
    "text",
    [
        TOP + "polls: {}",
        TOP + "poll: {every: 30}",
        TOP + "poll: {every: soon}",
        TOP + "agents: {r: {on: [open]}}",
        TOP + "agents: {r: {limits: {usd: two}}}",
        TOP + "agents: {r: {env: [A=b]}}",
        TOP + "trust: {who: writer}",
        TOP + "limits: {parallel: 0}",
        TOP.replace("acme/api", "acme"),
        TOP.replace("[acme/api]", "[]"),
        TOP.replace("https://", ""),
        TOP.replace(", token: t0ken", ""),
        "repos: [acme/api]",
    ],
)
def test_the_schema_refuses_what_is_refused(validator: Any, complaint: Callable[..., str], text: str) -> None:
    assert list(validator.iter_errors(seen_by_an_editor(text)))
    assert complaint(text)


def test_every_key_is_described_for_editors(validator: Any) -> None:
    definitions = validator.schema["$defs"]
    for name, part in {**definitions, "top": validator.schema}.items():
        for key, value in part.get("properties", {}).items():
            assert "description" in value or "description" in definitions[value["$ref"].split("/")[-1]], (name, key)


def test_reading_ten_thousand_repositories_is_quick(load: Load) -> None:
    import time

    text = TOP.replace("[acme/api]", "[" + ", ".join(f"acme/repo{number}" for number in range(10_000)) + "]")
    began = time.process_time()
    found = load(text)
    assert all(found.watches(f"ACME/repo{number}") for number in range(10_000))
    assert time.process_time() - began < 3


def test_the_forges_token_may_not_be_passed_into_a_bottle_under_any_name(complaint: Callable[..., str]) -> None:
    text = TOP.replace("t0ken", "'${GITEA_TOKEN}'") + "agents: {r: {backend: process, env: [OTHER]}}\n"
    said = complaint(text, GITEA_TOKEN="the-token", OTHER="the-token")
    assert said.startswith("agents.r.env[0]: found OTHER, which holds the forge's token")
    assert "the-token" not in said


@pytest.mark.parametrize("name", ["CLAUDE_CONFIG_DIR", "CLAUDE_CODE_PROJECT_DIR_NAME", "BOTTLEPOST_TURN"])
def test_what_the_runner_sets_itself_cannot_be_passed(complaint: Callable[..., str], name: str) -> None:
    said = complaint(TOP + f"agents: {{r: {{backend: process, env: [{name}]}}}}\n")
    assert said.startswith(f"agents.r.env[0]: found {name}")


@pytest.mark.parametrize("key", ["start", "overlap", "every", "sweep"])
def test_a_span_that_leads_out_of_the_calendar_is_refused(complaint: Callable[..., str], key: str) -> None:
    assert complaint(TOP + f"poll: {{{key}: 99999999999d}}\n").startswith(f"poll.{key}: ")
