"""What is left of a measurement: rows, masks, overlays, the report and the record."""
