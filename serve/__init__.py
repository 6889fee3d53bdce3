"""Bundles over HTTP, with Ray Serve."""
