"""Basics of pipelines and library: errors, text, numbers, files, processes, AutoGraph."""
