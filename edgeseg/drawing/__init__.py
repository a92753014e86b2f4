"""What a person looks at: overlays, their thumbnails, and how pixels become files."""
