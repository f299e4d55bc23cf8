"""Drift: whether a window still looks like the one the model was fitted to expect.

A column is counted in `cells` cut from the reference; a `profile` holds the reference's counts block by block, and
lies in the bundle; the tests in `numeric` and `categorical` are functions of counts; `findings` asks them all.
"""
