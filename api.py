"""WSGI entry: `gunicorn api:app`."""

from app import create_app

app = create_app()
