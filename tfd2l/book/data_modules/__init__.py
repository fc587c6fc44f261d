"""Data modules of a reader's own files, after the book: images in folders, tables."""
