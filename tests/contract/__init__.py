"""Facts about the forge on which the client relies, checked on the stand-in and on a real Gitea when there is one."""
