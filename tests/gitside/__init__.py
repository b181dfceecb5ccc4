"""Git over HTTP as a forge serves it: real repositories, the real `git http-backend`."""
