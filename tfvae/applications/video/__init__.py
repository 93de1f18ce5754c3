"""Frames that follow one another: continued, or kept from flickering."""
