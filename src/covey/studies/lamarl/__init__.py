"""LAMARL: priors and rewards that a language model writes, and what they are worth."""
