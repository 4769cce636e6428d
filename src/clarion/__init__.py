"""Clarion: one POST reaches every phone in the audience."""
