"""Who runs a run, and what is asked of it."""
