"""How good a network is: its answers, its probabilities, and how sure the figures are."""
