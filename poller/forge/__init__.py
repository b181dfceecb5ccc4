"""The way to the forge: one HTTP door, the control plane, and the words of the wire."""
