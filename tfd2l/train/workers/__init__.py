"""Runs of several processes, called workers: they meet, agree, and end together."""
