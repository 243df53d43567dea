"""Single images: read from files, shrunk, kept."""
