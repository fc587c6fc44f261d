"""Basics of pipelines and library: errors, text, numbers, files, processes, AutoGraph.

Nothing here knows a data set.
"""
