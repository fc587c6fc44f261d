"""A model as a version for TensorFlow Serving: written, checked, published, loaded again.

Nothing here knows how the model was trained, or how requests reach it.
"""
