"""The book's models: each from scratch, and concise on Keras layers.

Their base classes, with the steps and losses, are in `book/module.py`.
"""
