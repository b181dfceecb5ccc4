"""One bottle and one Claude session for every key; has never heard of a forge."""

__version__ = "0.1.0"
