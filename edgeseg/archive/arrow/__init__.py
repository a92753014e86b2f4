"""All that edgeseg calls of pyarrow."""
