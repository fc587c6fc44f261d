"""The C API of TensorFlow's runtime: the loader that TensorFlow Serving uses, here or in a process.

Nothing here knows signatures; `loaded.py` and `verify.py` do.
"""
