"""Hate in posts (thesis 6): data, agreement of annotators, metrics, and models of the text."""
