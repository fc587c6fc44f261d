"""Measures the project against the libraries that a user would pick instead."""
