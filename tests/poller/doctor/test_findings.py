"""`poll doctor` against the stand-in forge: each trouble has its line, its mend and its exit code."""

from __future__ import annotations

import json
import os
import re
import socket
from pathlib import Path

import pytest

from poller import doctor
from poller.checks import Check, habits
from poller.checks.forge import clock, server
from poller.checks.live import live_turn
from poller.config import load
from poller.demo.world import World
from poller.forge.control import Repo
from tests.poller.doctor.conftest import Examine


def test_all_is_well(examine: Examine, tmp_path: Path) -> None:
    checks = examine()
    claude = checks.pop("claude", None) or checks.pop("backend process")
    assert claude.status in ("ok", "fail")  # it may not be installed; its own test demands it
    assert {check.status for check in checks.values()} == {"ok"}, checks
    assert checks["token"].found == "we are bot (id 2)"
    assert checks["forge"].found.startswith("Gitea 1.25.4 at http://127.0.0.1:")
    assert checks["repo acme/api"].found == "we can push"
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_nothing_is_changed_on_the_forge(examine: Examine, world: World) -> None:
    pull = world.repo("acme/api").open_pull(by="ana")
    before = (len(pull.rows), len(world.webhooks))
    examine(more="agents: {r: {reply: review}}")
    assert (len(pull.rows), len(world.webhooks)) == before


def test_a_refused_token(examine: Examine) -> None:
    checks = examine(token="wr0ng")
    assert checks["token"].status == "fail" and "401" in checks["token"].found
    assert doctor.exit_code_of(checks.values()) == 4


@pytest.mark.parametrize(
    ("held", "lacking"),
    [
        ("write:issue,write:repository", "read:user"),
        ("read:user,write:repository", "read:issue"),
        ("read:user,write:issue", "read:repository"),
        ("read:user,read:issue,write:repository", "write:issue"),
        ("read:user,write:issue,read:repository", "write:repository"),
    ],
)
def test_the_scope_that_is_missing_is_named(examine: Examine, held: str, lacking: str) -> None:
    checks = examine(scopes=held)
    found = [check for check in checks.values() if lacking in check.found]
    assert found and found[0].status == "fail"
    assert doctor.exit_code_of(checks.values()) == 4


def test_without_agents_no_right_to_write_is_asked_for(examine: Examine) -> None:
    checks = examine(scopes="read:user,read:issue,read:repository", more="")
    assert checks["scopes"].status == "ok"
    assert checks["agents"].status == "warn"


def test_a_forge_that_is_down_ends_only_its_part(examine: Examine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
        checks = examine(url=nowhere)
    assert "connection refused" in checks["forge"].found and nowhere in checks["forge"].mend
    assert checks["state"].status == "ok"
    assert doctor.exit_code_of(checks.values()) == 3


def test_a_proxys_page_is_not_taken_for_the_forge(examine: Examine, world: World) -> None:
    world.fault("GET /version", html=True)
    checks = examine()
    assert "HTML page with status 200" in checks["forge"].found
    assert doctor.exit_code_of(checks.values()) == 3


def test_trouble_in_the_middle_is_a_finding_too(examine: Examine, world: World) -> None:
    world.fault("GET /repos/issues/search", status=429, retry_after=3600)
    assert "429" in examine()["forge"].found
    world.fault("GET /repos/acme/api$", status=503, times=None)
    assert "503" in examine(more="")["forge"].found


def test_each_repository_is_looked_for(examine: Examine, world: World) -> None:
    world.repo("acme/old", collaborators={"bot": "admin"}).rename("new")
    world.repo("acme/attic", archived=True)
    world.repo("acme/reader")
    checks = examine(repos="[acme/api, acme/old, acme/attic, acme/reader, acme/none, 'acme/*', 'nobody/*', '!acme/x']")
    said = {name.removeprefix("repo "): check.found for name, check in checks.items() if name.startswith("repo ")}
    assert said == {
        "acme/api": "we can push",
        "acme/old": "is now acme/new",
        "acme/attic": "is archived: it is read, but nothing can be posted there (423)",
        "acme/reader": "we can read and comment, not push",
        "acme/none": "not found, or no access",
        "acme/*": "4 repositories, 1 archived: nothing can be posted there (423), as in acme/attic; nothing to do",
        "nobody/*": "not found, or no access: 404",
    }
    assert doctor.exit_code_of(checks.values()) == 1


def test_of_many_repositories_only_those_with_a_trouble_get_a_line(examine: Examine, world: World) -> None:
    names = [f"acme/repo{number}" for number in range(30)]
    for name in names[:29]:
        world.repo(name)
    checks = examine(repos=f"[{', '.join(names)}]")
    assert [name for name in checks if name.startswith("repo")] == ["repo acme/repo29", "repositories"]
    assert checks["repositories"].found == "29 of 30 patterns can be read, 29 repositories"


def test_an_administrators_token_is_advised_against(examine: Examine, world: World) -> None:
    checks = examine(token=world.token(world.user("root", admin=True)))
    assert checks["account"].status == "warn"


@pytest.mark.parametrize(
    ("who", "status", "said"),
    [
        ("writers", "ok", "by assignees and teams: the bot is no administrator of acme/api"),
        ("everyone", "warn", "everybody who can comment"),
        ("collaborators", "ok", "added to the repository by name"),
        ("[Bot]", "ok", "1 by name: bot"),
        ("[Ana, bot]", "warn", "nobody is called ana"),
        ("[]", "warn", "nobody can make the agents run"),
    ],
)
def test_how_people_are_trusted_is_said(examine: Examine, who: str, status: str, said: str) -> None:
    check = examine(more=f"trust: {{who: {who}}}")["trust"]
    assert check.status == status and said in check.found


def test_a_clock_that_is_off_is_a_warning(examine: Examine, tmp_path: Path) -> None:
    examine()
    config = load(tmp_path / "config.yaml", environ={})
    assert clock(config, 0.4).found == "the forge's clock and ours agree"
    assert clock(config, -30.2).found == "the forge's clock is 30 s behind ours"
    assert clock(config, 400.0).status == "warn"
    assert clock(config, None).status == "ok"


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.22.6", "ok"), ("1.26.0+dev-1-g0", "ok"), ("2.0.0", "ok"), ("1.21.11", "warn"), ("development", "warn"),
     ("11.0.1+gitea-1.22.0", "ok"), ("10.0.3+gitea-1.22.0", "ok"), ("9.0.3+gitea-1.22.0", "warn")],
)  # fmt: skip
def test_which_servers_this_was_tried_with(examine: Examine, tmp_path: Path, version: str, status: str) -> None:
    examine()
    assert server(load(tmp_path / "config.yaml", environ={}), version).status == status


def test_a_forgejo_is_told_with_what_it_is_like(examine: Examine, tmp_path: Path) -> None:
    examine()
    config = load(tmp_path / "config.yaml", environ={})
    found = server(config, "11.0.1+gitea-1.22.0").found
    assert found.startswith(f"Forgejo 11.0.1 (as Gitea 1.22.0) at {config.url}")


def test_a_proxy_of_another_kind_is_an_error_of_the_config(examine: Examine, tmp_path: Path) -> None:
    examine()
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(re.sub(r"url: '[^']*'", "url: 'https://gitea.example.com'", text))
    environ = {"PATH": os.environ["PATH"], "HTTPS_PROXY": "socks5://ann:hunter2@host:1"}
    checks = list(doctor.examine(tmp_path / "config.yaml", environ=environ))
    assert checks[-1].name == "way" and checks[-1].mend and "hunter2" not in str(checks)
    assert doctor.exit_code_of(checks) == 2


def test_findings_as_text_and_as_json() -> None:
    checks = [
        Check(name="a", status="ok", found="fine"),
        Check(name="b", status="warn", found="hm\n\x1b[2J", mend="do x"),
        Check(name="c", status="fail", found="no", mend="do y", exit_code=3),
    ]
    assert [doctor.as_text(check) for check in checks] == [
        "ok    a: fine",
        "warn  b: hm\\n\\x1b[2J\n      → do x",
        "FAIL  c: no\n      → do y",
    ]
    assert json.loads(doctor.json_of(checks)) == {
        "checks": [
            {"name": "a", "status": "ok", "found": "fine", "mend": ""},
            {"name": "b", "status": "warn", "found": "hm\n\x1b[2J", "mend": "do x"},
            {"name": "c", "status": "fail", "found": "no", "mend": "do y"},
        ],
        "exit": 3,
    }


@pytest.mark.claude
def test_a_live_turn_of_the_real_claude_answers_and_leaves_nothing_behind(
    examine: Examine, tmp_path: Path, claude_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    names = ", ".join(name for name in claude_environ if name != "PATH")
    examine(more=f"agents: {{r: {{backend: process, env: [{names}]}}, d: {{backend: docker, env: []}}}}")
    checks = {check.name: check for check in live_turn(load(tmp_path / "config.yaml", environ={}), claude_environ)}
    assert checks["live r"].status == "ok" and checks["live r"].found.startswith("answered '"), checks
    assert checks["live d"].status == "fail" and "docker" in checks["live d"].found
    assert not list((tmp_path / "tmp").iterdir())
    assert not (tmp_path / "state").exists()


@pytest.mark.claude
def test_the_real_claude_says_its_version(examine: Examine, claude_binary: str) -> None:
    assert "(Claude Code)" in examine()["claude"].found
    assert examine()["claude"].found.endswith(claude_binary)


def test_a_status_wants_the_right_to_write_code(examine: Examine, world: World) -> None:
    world.repo("acme/read", private=True, collaborators={"bot": "read"})
    more = "agents: {r: {backend: process, status: true, env: []}}"
    assert "code rights" not in examine(more=more)
    found = examine(repos="[acme/api, acme/read]", more=more)["code rights"]
    assert (found.status, found.found) == (
        "warn", "agents.r.status wants the right to write code, which we lack in acme/read",
    )  # fmt: skip


def test_what_is_the_matter_with_what_is_watched(examine: Examine, world: World) -> None:
    repo = world.repo("acme/api")
    pull = repo.open_pull(by="ana")
    world.repo("else/where").open_pull(by="ana")
    checks = examine(more="agents: {r: {backend: process, reply: review, env: []}}")
    assert checks["search"].found.startswith(
        "1 of the 2 newest pulls it shows are not watched: they are dropped; of one"
    )
    assert checks["pull requests"].found == "switched on wherever we look"
    assert checks["address"].found == "the links that the forge writes begin as `gitea.url` does"
    assert checks["reactions"].found == "eyes, rocket, confused are allowed"
    assert checks["reviews"].status == "ok"
    pull.start_review(by="bot")
    repo.pulls_enabled = False
    checks = examine(more="agents: {r: {backend: process, reply: review, env: []}}")
    assert "switched off in acme/api" in checks["pull requests"].found
    repo.pulls_enabled = True
    checks = examine(more="agents: {r: {backend: process, reply: review, env: []}}")
    assert "bot has an unsent review on acme/api#1" in checks["reviews"].found
    assert "DELETE /api/v1/repos/acme/api/pulls/1/reviews/" in checks["reviews"].mend


@pytest.mark.parametrize(
    ("url", "shown", "told"),
    [
        ("https://forge.example/git", "https://Forge.example/git/acme/api", ""),
        ("https://forge.example/git/", "https://forge.example/git/acme/api/", ""),
        ("https://forge.example", "http://10.0.0.1:3000/acme/api", "http://10.0.0.1:3000"),
        ("https://forge.example", "https://forge.example/git/acme/api", "https://forge.example/git"),
        ("https://forge.example", "", ""),
    ],
)
def test_an_address_that_the_forge_writes_otherwise_is_told(url: str, shown: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"gitea: {{url: '{url}', token: x}}\nrepos: [acme/api]\nagents: {{r: {{backend: process}}}}\n")
    file.chmod(0o600)
    found = habits.address(load(file, environ={}), [Repo(id=1, full_name="acme/api", html_url=shown)]).found
    same = "the links that the forge writes begin as `gitea.url` does"
    assert found == (f"the links that the forge writes begin with {told}; nothing to do" if told else same)
