"""Files in, arrays and `tf.data` out. Imports nothing of `tfd2l`, and nothing when imported."""
