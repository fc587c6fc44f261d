"""Folders of a reader's own images: listed, split into training and validation, decoded."""
