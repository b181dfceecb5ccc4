"""Fixtures that several rooms share, and one profile for all property tests."""

from hypothesis import HealthCheck, settings

from tests.examples import MORE, examples

pytest_plugins = ["tests.fixtures_claude", "tests.fixtures_engine", "tests.fixtures_postgres"]

# How fast a machine is, is no property of ours: examples are bounded by their number, never by a clock.
settings.register_profile(
    "bottlepost",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=examples(),
    derandomize=not MORE,
)
settings.load_profile("bottlepost")
