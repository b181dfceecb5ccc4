"""A model that answers with the tokens it was asked about, and nothing else."""

from __future__ import annotations

from tests.chaos.agent import tokens_in
from tests.model.server import Model, Request


class Echo(Model):
    """Whatever else is in the conversation: the last message with events is the one to answer."""

    def said(self, request: Request) -> str:
        asked = next((text for text in reversed(request.heard) if "# What happened" in text), "")
        return f"answers: {tokens_in(asked)}"
