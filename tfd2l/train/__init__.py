"""`python -m tfd2l.train`: one run, from flags to export.

The training loop itself is `book/trainer.py` on `engine/`; here is what a run keeps and shows.
"""
