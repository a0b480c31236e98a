"""What a model that translates is for, and what its translations are worth."""
