"""`python -m tfd2l.data_service`, and `d2l.map_on_service`: batches prepared on other machines.

The service is TensorFlow's own, `tf.data.experimental.service`.
"""
