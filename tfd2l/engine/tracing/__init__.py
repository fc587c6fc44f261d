"""Turns a model's steps into graphs, and notices the Python state that a graph would freeze."""
