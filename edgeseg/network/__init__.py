"""A model file, what it says of itself, and the session that runs it."""
