"""Folders of videos in, served recognisers of human movement out."""
