"""`python -m tfd2l.serve`: a development server with TensorFlow Serving's REST interface.

Loading and running a version is `export/`'s; the configuration of the real server is `deploy/`'s.
"""
