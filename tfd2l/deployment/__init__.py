"""What TensorFlow Serving needs to serve a directory of models: which versions, and the files."""
