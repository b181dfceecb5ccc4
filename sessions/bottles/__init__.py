"""Where an agent runs: one Protocol, and its kinds."""
