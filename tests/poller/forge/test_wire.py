"""Every recorded answer of every version can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from poller.forge import wire

SAMPLES = sorted((Path(__file__).parents[2] / "samples").glob("gitea-*/*.json"))
READERS: dict[str, tuple[Any, Any]] = {
    "search__": (list[wire.IssueRow], wire.row),
    "timeline__": (list[wire.TimelineRow | None] | None, wire.step),
    "reviews__": (list[wire.ReviewRow | None] | None, wire.review),
    "review_comments_": (list[wire.InlineRow | None] | None, wire.inline),
    "pull__": (wire.PullDetail, wire.heads),
    "issue__": (wire.IssueRow, wire.row),
    "issue_comments__": (list[wire.CommentRow | None] | None, lambda row: row),
    "repo_comments__": (list[wire.CommentRow | None] | None, lambda row: row),
}
KNOWN = [(path, prefix) for path in SAMPLES for prefix in READERS if path.name.startswith(prefix)]


def test_there_are_samples_of_every_kind() -> None:
    assert {prefix for _, prefix in KNOWN} == set(READERS)


@pytest.mark.parametrize(("path", "prefix"), KNOWN, ids=[f"{path.parent.name}/{path.stem}" for path, _ in KNOWN])
def test_a_recorded_answer_is_read(path: Path, prefix: str) -> None:
    answer = json.loads(path.read_text())
    kind, read = READERS[prefix]
    body = msgspec.json.decode(json.dumps(answer["body"]), type=kind)
    for row in body if isinstance(body, list) else [body] if body is not None else []:
        if row is not None:
            read(row)


def test_a_forced_push_names_the_old_and_the_new_head() -> None:
    raw = {
        "id": 1,
        "type": "pull_push",
        "created_at": "2026-11-21T07:00:00+01:00",
        "updated_at": "2026-11-21T07:00:00Z",
    }
    body = json.dumps({"is_force_push": True, "commit_ids": ["a", "b"]})
    step = wire.step(msgspec.convert({**raw, "body": body}, wire.TimelineRow, strict=False))
    assert (step.forced, step.commits, step.at) == (True, ("a", "b"), "2026-11-21T06:00:00Z")


@pytest.mark.parametrize("body", ["", "null", "[]", "not json", '{"commit_ids": null}'])
def test_a_push_whose_body_cannot_be_read_has_no_commits(body: str) -> None:
    raw = {"id": 1, "type": "pull_push", "created_at": "2026-11-21T07:00:00Z", "updated_at": "2026-11-21T07:00:00Z"}
    step = wire.step(msgspec.convert({**raw, "body": body}, wire.TimelineRow, strict=False))
    assert (step.forced, step.commits) == (False, ())


@pytest.mark.parametrize(
    ("head", "state", "fork"),
    [
        ({"label": "topic", "ref": "topic"}, "open", False),
        ({"label": "", "ref": "refs/pull/3/head"}, "open", True),
        ({"label": "", "ref": "refs/pull/3/head"}, "closed", True),
        ({"ref": "topic"}, "open", True),
        ({"label": "topic", "ref": "refs/pull/3/head"}, "open", True),
        ({"label": "topic", "ref": "refs/pull/3/head"}, "closed", False),
    ],
)
def test_a_head_without_a_branch_in_the_repository_counts_as_a_forks(
    head: dict[str, str], state: str, fork: bool
) -> None:
    side = {"sha": "s", "repo_id": 7, "repo": {}}
    detail = msgspec.convert(
        {"state": state, "head": side | head, "base": side | {"label": "main", "ref": "main"}}, wire.PullDetail
    )
    assert wire.heads(detail).fork is fork


def test_a_pull_whose_fork_is_gone_is_still_from_a_fork() -> None:
    side = {"ref": "x", "sha": "s", "repo_id": 0, "repo": None}
    detail = msgspec.convert(
        {"state": "open", "head": side, "base": {**side, "repo_id": 7, "repo": {}}}, wire.PullDetail
    )
    assert wire.heads(detail).fork is True
