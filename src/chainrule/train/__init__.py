"""Training: minibatches in a seeded order, the derived step run on each, and when to stop."""
