"""Runs, counts and saves the steps of `Trainer.fit`: compiled, streamed or eagerly.

The trainer itself is the book's, in `book/trainer.py`; nothing here imports the book's classes.
"""
