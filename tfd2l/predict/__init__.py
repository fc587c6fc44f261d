"""`python -m tfd2l.predict`, and the clients for served and exported models.

Here belong the clients over REST, over gRPC and in this process, and the reading of image and CSV
files.
The server is in `serve`, the loader of exported models in `export`.
"""
