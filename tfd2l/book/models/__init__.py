"""The book's models: each from scratch, and concise on Keras layers."""
