"""What `poll doctor` finds out about servers of each kind and version, by trying."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from poller import doctor
from poller.checks import Check
from poller.demo.world import World
from tests.poller.doctor.conftest import SCOPES, Examine


@pytest.fixture
def at(tmp_path: Path) -> Examine:
    """Findings about a repository with one pull, on a server of that version."""

    def found(
        version: str, *, scopes: str = SCOPES, comments: int = 2, right: str = "write", repos: str = "[acme/api]",
        archived: bool = False,
    ) -> dict[str, Check]:  # fmt: skip
        world = World(version=version)
        world.org("acme", owners=["olga"])
        repo = world.repo("acme/api", private=True, collaborators={"bot": right, "ana": "write"})
        pull = repo.open_pull(by="ana")
        for number in range(comments):
            pull.comment(f"word {number}", by="ana")
        repo.archived = archived
        before = len(pull.rows)
        with world.serve() as forge:
            file = tmp_path / "config.yaml"
            file.write_text(
                f"gitea: {{url: '{forge.url}', token: {world.token('bot', scopes=scopes)}}}\n"
                f"repos: {repos}\nstate: state\nagents: {{r: {{backend: process, env: []}}}}\n"
            )
            file.chmod(0o600)
            checks = {check.name: check for check in doctor.examine(file, environ={"PATH": os.environ["PATH"]})}
        assert len(pull.rows) == before, "it is harmless"
        return checks

    return found


@pytest.mark.parametrize(
    ("version", "lists", "threads"),
    [
        ("1.22.6", "come whole when no page is asked for", "cannot be resolved"),
        ("1.25.4", "come whole when no page is asked for", "cannot be resolved"),
        ("1.26-dev", "are cut, to 50 rows at most", "can be resolved by the API"),
    ],
)
@pytest.mark.parametrize("repos", ["[acme/api]", "['acme/*']"])
def test_what_a_server_can_is_found_by_trying(at: Examine, version: str, lists: str, threads: str, repos: str) -> None:
    checks = at(version, repos=repos)
    assert checks["lists"].found.startswith(lists) and checks["threads"].found.startswith(threads)
    assert {checks[name].status for name in ("forge", "lists", "threads", "organizations")} == {"ok"}


@pytest.mark.parametrize("version", ["1.22.6", "1.26-dev"])
def test_where_there_is_nothing_to_try_on_that_is_said(at: Examine, version: str) -> None:
    assert at(version, comments=0, repos="[acme/api]")["lists"].status == "ok"
    assert "no pull with two entries" in at(version, repos="[acme/none]")["lists"].found


def test_an_archived_repository_does_not_hide_what_the_server_can(at: Examine) -> None:
    checks = at("1.26-dev", archived=True)
    assert checks["threads"].found == "can be resolved by the API"
    assert checks["repo acme/api"].status == "warn" and "423" in checks["repo acme/api"].found


@pytest.mark.parametrize(
    ("scopes", "said"),
    [(SCOPES, "lacks read:organization, which nothing needs"), (f"{SCOPES},read:organization", "has read:organizat")],
)
def test_the_scope_that_may_be_there_is_looked_for(at: Examine, scopes: str, said: str) -> None:
    assert said in at("1.25.4", scopes=scopes)["organizations"].found


def test_how_rights_are_found_out_is_tried_and_not_guessed(at: Examine) -> None:
    assert "by assignees and teams" in at("1.25.4")["trust"].found
    assert at("1.25.4", right="admin")["trust"].found == "writers, as the forge says of each person"


def test_a_token_for_public_repositories_only_is_found_out(at: Examine) -> None:
    named = at("1.25.4", scopes=f"{SCOPES},public-only")
    assert "limited to public" in named["scopes"].found and doctor.exit_code_of(named.values()) == 4
    # A list leaves private ones out without a word: all that can be said is where to look.
    assert "limited to public" in at("1.25.4", scopes=f"{SCOPES},public-only", repos="['acme/*']")["repo acme/*"].mend
