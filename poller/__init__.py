"""Turns what changes on a Gitea into events, and events into turns of an agent."""
