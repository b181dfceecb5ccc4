"""How a person names a kind of event, and what is said to one who names none."""

from __future__ import annotations

from typing import get_args

import pytest

from poller.deltas.events import EventName
from poller.kinds import ACTIONS, kinds_named


def test_every_event_of_the_contract_can_be_named() -> None:
    assert set(ACTIONS) == set(get_args(EventName))


@pytest.mark.parametrize(
    "text",
    ["pull_request_comment/edited", "pull_request_comment edited", " Pull_Request_Comment / EDITED "],
)
def test_an_event_and_its_action_are_one_kind(text: str) -> None:
    assert kinds_named(text) == [("pull_request_comment", "edited")]


def test_an_event_alone_stands_for_all_its_actions() -> None:
    assert kinds_named("pull_request_thread") == [
        ("pull_request_thread", "resolved"),
        ("pull_request_thread", "unresolved"),
    ]


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("pull_request_coment", "pull_request_comment"),
        ("pull_request_comment/create", "pull_request_comment/created"),
        ("pull_request_coment/created", "pull_request_comment/created"),
        ("created", "pull_request_comment/created"),
        ("synchronised", "pull_request_sync/synchronized"),
        ("pull_request/created", "pull_request/opened"),
        ("repo", "repository"),
        ("", "repository"),
        ("/", "repository"),
        ("pull_request/opened/now", "pull_request/opened"),
        ("%", "repository"),
    ],
)
def test_who_names_none_is_told_the_closest(text: str, offered: str) -> None:
    with pytest.raises(ValueError, match=rf"\b{offered}\b"):
        kinds_named(text)
