"""The world's state as Gitea's JSON, key by key as real servers were seen to write it."""
