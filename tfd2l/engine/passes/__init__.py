"""Passes over the data: runs a step in compiled loops, in single calls, or eagerly."""
