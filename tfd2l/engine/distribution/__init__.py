"""Steps on several devices: a replica of the model on each, by TensorFlow's `tf.distribute`."""
