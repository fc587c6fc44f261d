"""Data modules of files: Fashion-MNIST, and a reader's own images in folders and tables."""
