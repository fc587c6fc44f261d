"""`python -m tfd2l.serve`: a development server with TensorFlow Serving's REST interface.

Loading and running a version belongs to `export/`, the configuration of the real server to
`deploy/`.
"""
