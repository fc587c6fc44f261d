"""Turns files into arrays and `tf.data`. Knows nothing of `tfd2l`; importing it does nothing."""
