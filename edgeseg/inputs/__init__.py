"""Which images there are, and what tables say of them."""
