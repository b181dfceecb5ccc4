"""The words an agent is sent: templates, what happened in words, and the fence around what others wrote."""
