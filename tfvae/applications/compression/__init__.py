"""Pictures as bytes: files that are smaller."""
