"""`python -m tfd2l.deploy`: configuration that starts TensorFlow Serving, and training jobs.

It writes files and starts nothing; the development server is in `serve/`.
"""
