"""API keys: where they are found, and how they are kept out of everything that is kept, shown or sent as text.

Keys live in the environment only. No record holds one: settings name the variable, not its value.
"""

from __future__ import annotations

import os
import re

from evokern.taskfile.settings import ModelSettings

_SECRET_NAME = re.compile(r"(^|_)(API_?KEYS?|KEYS?|TOKENS?|SECRETS?|PASSWORDS?|CREDENTIALS)(_|$)", re.IGNORECASE)
_SHORTEST = 8
"""Shorter values are no keys, and would be found in innocent text."""
NO_KEY = "none"
"""What a local server is sent: clients insist on some key, and the real one of a provider is none of its business."""


def key_for(model: ModelSettings) -> str | None:
    """The key to send; None leaves it to litellm, which knows each provider's usual variable."""
    if model.api_key_env:
        return os.environ.get(model.api_key_env) or None
    return NO_KEY if model.api_base else None


def spoilt_key(model: ModelSettings) -> str | None:
    """The variable of `model` whose key can't be sent as it stands: it holds white space or other than ASCII."""
    provider = re.sub(r"\W", "_", model.name.split("/")[0]).upper()
    usual = () if model.api_base else tuple(name for name in os.environ if _is_of(provider, name))
    for name in (model.api_key_env,) if model.api_key_env else usual:
        value = os.environ.get(name or "", "")
        if value and not (value.isascii() and value.isprintable() and " " not in value):
            return name
    return None


def _is_of(provider: str, variable: str) -> bool:
    """Whether `variable` is where litellm looks for the provider's key; a bare name of a model is OpenAI's."""
    owners = (provider, "OPENAI") if provider.startswith(("GPT", "O1", "O3", "O4")) else (provider,)
    return variable.startswith(tuple(f"{owner}_" for owner in owners)) and bool(_SECRET_NAME.search(variable))


def scrubbed(text: str, *models: ModelSettings) -> str:
    """`text` with every secret of the environment replaced by the name of its variable: ``<OPENAI_API_KEY>``."""
    named = {model.api_key_env for model in models}
    secrets = (
        (value, name)
        for name, value in os.environ.items()
        if len(value) >= _SHORTEST and (name in named or _SECRET_NAME.search(name))
    )
    for value, name in sorted(secrets, key=lambda secret: -len(secret[0])):
        text = text.replace(value, f"<{name}>")
    return text
