"""Pictures as small files: a lossy codec with its container, and bits-back coding without loss."""
