"""How often intervals and verdicts hold, on simulated studies."""
