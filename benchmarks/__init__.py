"""The project against what a user would pick instead."""
