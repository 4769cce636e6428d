"""The only truth: the schema, the two verbs `read` and `write`, and one file of plain functions per noun.

The functions take a SQLAlchemy `Connection` first and run on SQLite and on PostgreSQL alike; a transaction
belongs to the caller (`Database.read`, `Database.write`). They know nothing of HTTP or of providers.
"""
