"""The web process: `uvicorn muniment.asgi:application`."""

import os
import sys

from django.core.asgi import get_asgi_application

# The thread that speaks with browsers needs the interpreter often and briefly. By default it waits 5 ms for a
# busy thread, several times a request.
sys.setswitchinterval(0.0005)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "muniment.settings")
application = get_asgi_application()
