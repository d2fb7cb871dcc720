"""Long jobs: the job table is the truth, Celery only carries job ids, workers do checkpointed units."""
