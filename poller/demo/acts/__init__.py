"""What people do on a pull request, and what Gitea makes of it: rows, stamps, counters, webhooks."""
