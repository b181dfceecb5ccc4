"""What changed on the forge since the last look, as events."""
