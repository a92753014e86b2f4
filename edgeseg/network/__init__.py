"""A model file, its metadata, and the session that runs it."""
