"""The words of Clarion: frozen values and pure rules. Imports nothing of ours, does no input or output."""
