"""The site as a WSGI application: gunicorn webapp.wsgi --worker-class gthread --threads 32."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.settings")
application = get_wsgi_application()
