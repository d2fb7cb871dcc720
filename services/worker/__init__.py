"""The worker: a Celery application that runs and helps with jobs, and the sweeper. Never imports torch."""
