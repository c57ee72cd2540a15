"""Durable state: the data folder, documents, blobs and journals."""
