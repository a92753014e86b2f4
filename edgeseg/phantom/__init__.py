"""Synthetic scans with a known ground truth, and the demo that measures them."""
