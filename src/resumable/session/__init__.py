"""One session: the loop, and what surrounds it."""
