"""Where frames come from: files, folders, tables of pixel sizes, live sources. Knows no organ."""
