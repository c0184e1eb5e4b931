"""Raw files of a cohort, once: found, read, conditioned and written to a store; training imports none of it."""
