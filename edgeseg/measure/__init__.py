"""From a probability map to figures; numpy and OpenCV only, no files."""
