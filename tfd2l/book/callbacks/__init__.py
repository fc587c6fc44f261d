"""Callbacks that come with the library: early stopping, checkpoints, TensorBoard, the progress bar.

The base class is in `engine/callback.py`.
"""
