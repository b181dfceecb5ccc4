"""Real processes against a stand-in forge over HTTP: what the contract promises, told as facts."""
