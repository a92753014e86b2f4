"""A picture that moves: a camera, a stream or a film, measured as it comes and shown in a page."""
