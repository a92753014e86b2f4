"""A file or an array becomes a frame: gray pixels and what is known of them."""
