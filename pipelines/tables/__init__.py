"""Tables: CSV files and pandas' frames, prepared for a model by statistics of their training rows.

Importing it imports no TensorFlow, except for `batches` and `graph`.
"""
