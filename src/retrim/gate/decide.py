"""The gate: challengers and champion on the same rows. Closed unless every check passes.

`judge_models` makes every check, from rows, predictions and losses; `judge` makes those that losses alone allow.
"""
