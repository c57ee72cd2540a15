"""Blobs: manifests, chunking, and who fetches which chunk from where."""
