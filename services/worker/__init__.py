"""The worker: a Celery application whose one task runs jobs, and the sweeper. Never imports torch."""
