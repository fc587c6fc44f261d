"""`python -m tfd2l.deploy`: configuration that starts TensorFlow Serving on exported models."""
