"""Fixtures that several rooms share."""

pytest_plugins = ["tests.fixtures_claude"]
