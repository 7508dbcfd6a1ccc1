"""Building, training and measuring networks. Everything here is Keras 3 and backend-neutral."""
