"""Recorded refusals of three versions, and what is said of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from poller.forge import errors

SAMPLES = Path(__file__).parents[2] / "samples"
VERSIONS = ["gitea-1.22.6", "gitea-1.25.4", "gitea-1.26-dev"]


def recorded(version: str, name: str) -> errors.ForgeError:
    sample = json.loads((SAMPLES / version / f"{name}.json").read_text(encoding="utf-8"))
    method, _, path = sample["request"].partition(" ")
    body = sample["body"] if isinstance(sample["body"], dict) else {}
    return errors.error_of(
        sample["status"],
        where=errors.where_of(method, path),
        message=body.get("message", ""),
        location=sample["headers"].get("Location", ""),
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("name", "kind", "exit_code"),
    [
        ("error_bad_token", errors.Refused, 4),
        ("error_no_token_user", errors.Refused, 4),
        ("error_missing_scope_read_user", errors.MissingScope, 4),
        ("error_missing_scope_repository", errors.MissingScope, 4),
        ("error_missing_scope_write_issue", errors.MissingScope, 4),
        ("error_public_only_token_private_repo", errors.Forbidden, 1),
        ("error_permission_of_another_asked_by_a_writer", errors.Forbidden, 1),
        ("error_unknown_repo", errors.NotFound, 1),
        ("error_unknown_route", errors.NotFound, 1),
        ("error_comment_on_archived_repo", errors.Declined, 1),
        ("error_since_invalid", errors.Declined, 1),
        ("error_search_unknown_owner", errors.Declined, 1),
        ("error_timeline_of_unknown_issue", errors.ServerTrouble, 3),
        ("redirect__get_under_the_old_repo_name", errors.Moved, 1),
    ],
)
def test_each_refusal_has_its_kind_and_exit_code(
    version: str, name: str, kind: type[errors.ForgeError], exit_code: int
) -> None:
    error = recorded(version, name)
    assert type(error) is kind
    assert error.exit_code == exit_code
    assert "\n" not in str(error)


@pytest.mark.parametrize("version", VERSIONS)
def test_the_missing_scope_is_named_on_every_version(version: str) -> None:
    error = recorded(version, "error_missing_scope_read_user")
    assert isinstance(error, errors.MissingScope)
    assert error.scope == "read:user"
    assert str(error).startswith("the token lacks the scope read:user: 403 (GET /api/v1/user); make a token with")


@pytest.mark.parametrize("version", VERSIONS)
def test_an_archived_repository_is_told_with_the_mend(version: str) -> None:
    said = str(recorded(version, "error_comment_on_archived_repo"))
    assert re.search(r"turned it down: 423 '.*is archived'", said)
    assert said.endswith("; it can be read only until that is undone")


def test_a_message_shows_neither_query_nor_credentials() -> None:
    where = errors.where_of("get", "https://u:hunter2@host/api/v1/user?token=hunter2#x")
    assert where == "GET /api/v1/user"
    for error in (
        errors.unreachable("refused", where=where, url="https://u:hunter2@host/x?token=hunter2"),
        errors.not_gitea("a page", where=where, url="https://u:hunter2@host/x?token=hunter2"),
        errors.error_of(301, where=where, location="https://u:hunter2@host/x?token=hunter2"),
    ):
        assert "hunter2" not in str(error)


def test_the_forges_words_stay_on_one_line_and_short() -> None:
    said = str(errors.error_of(422, where="POST /x", message="a\nb\x1b[2J\r" + "x" * 1000))
    assert "\n" not in said and "\x1b" not in said
    assert len(said) < 300


def test_patience_is_told_in_seconds() -> None:
    error = errors.error_of(429, where="GET /x", retry_after=7)
    assert isinstance(error, errors.RateLimited) and error.retry_after == 7
    assert error.passing and error.exit_code == 3
