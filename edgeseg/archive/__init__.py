"""An archive of millions of frames, measured in parts by any number of machines."""
