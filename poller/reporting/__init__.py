"""`poll report`: one page about a stretch of time.  `facts` gathers, `charts` draws, `page` writes."""
