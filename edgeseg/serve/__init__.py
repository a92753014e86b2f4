"""A page that measures in the browser, and an address that measures for programs."""
