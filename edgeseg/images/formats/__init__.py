"""What each kind of image file says of itself, and which kinds there are beside those read."""
