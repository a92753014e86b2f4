"""Synthetic scans whose truth is known, and the demo that measures them."""
