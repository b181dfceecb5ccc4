"""Gitea's routes: what a request asks, who may, and which status and page answer it."""
