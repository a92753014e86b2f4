"""Tables of pixel sizes as people have them: their text, their titles, their cells, their names."""
