"""The work: a few functions per story, between the door or the worker above and the store below.

Imports `model`, `store` and the provider protocol; raises `model.errors.Refusal` where it declines.
"""
