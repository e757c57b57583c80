"""The local stack: every part of the product and of the world around it, on one machine, started and ended together."""
