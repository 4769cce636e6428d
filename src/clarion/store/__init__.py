"""The only truth: the schema, the two verbs `read` and `write`, and one file of plain functions per noun.

The functions take a SQLAlchemy `Connection` first and run on SQLite and on PostgreSQL alike; a transaction
belongs to the caller (`Database.read`, `Database.write`). They know nothing of HTTP or of providers.

Rows are locked in one order, so that on PostgreSQL no two transactions wait for each other in a circle:

    channels → ranges → retries → deliveries → members → withdrawals → devices → tallies → notifications → organizations

- Within a table: retries in the order of their keys, everything else in that of its ids. Only its owner waits
  for a range or a delivery.
- A settlement locks the ranges that it owns and then the retries that it schedules, or else the retries that it
  owns; both at once would lock retries in two rounds (`service/push.py`).
- Whoever must lock out of this order passes over what is locked and never waits: a claim and a recall pass over
  runs, a release over notifications, and a lane over withdrawals.
"""
