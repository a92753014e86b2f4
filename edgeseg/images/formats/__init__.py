"""What each kind of image file says of itself before its pixels are decoded."""
