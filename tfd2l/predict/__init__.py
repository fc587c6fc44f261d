"""`python -m tfd2l.predict`: images asked of a served or exported model, and the clients for it."""
