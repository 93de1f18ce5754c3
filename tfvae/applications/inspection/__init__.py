"""What does not belong in a picture: maps, scores, regions, and the threshold that calibration gives."""
