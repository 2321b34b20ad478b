"""A web service for uploads and exports: Django takes the requests, Celery's workers run them, the store has the truth."""
