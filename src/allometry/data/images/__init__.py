"""Single pictures: read from files, shrunk, kept."""
