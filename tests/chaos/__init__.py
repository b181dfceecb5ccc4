"""Everything that runs is killed at any moment, thousands of times; then the answers are counted."""
