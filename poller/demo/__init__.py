"""A stand-in Gitea: a small world of users, repositories and pulls that is spoken to over real HTTP.

Knows Gitea's behaviour as recorded from real servers (`tests/samples/`).  Must not know the poller: whoever uses it
is a client like any other.  `world.World` is the door for tests and the demo, `server.Server` serves it.
"""
