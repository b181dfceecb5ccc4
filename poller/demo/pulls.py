"""A pull request of the world: all acts on it under one name.

The acts themselves are in `acts/`, by what they are about.
"""

from __future__ import annotations

from poller.demo.acts.ending import Ending
from poller.demo.acts.marking import Marking
from poller.demo.acts.pushing import Pushing
from poller.demo.acts.reviewing import Reviewing
from poller.demo.acts.talking import Talking


class Pull(Ending, Marking, Pushing, Reviewing, Talking):
    """A pull request, or a plain issue with `is_pull` false, and the language in which tests speak of it."""
