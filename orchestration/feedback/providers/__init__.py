"""The providers whose reports can be read; another one is a module here and a line in PROVIDERS."""

from __future__ import annotations

from orchestration.feedback.providers import batch, braze, brevo, klaviyo, sendgrid, twilio
from orchestration.feedback.rows import Provider

PROVIDERS: dict[str, Provider] = {
    module.PROVIDER.name: module.PROVIDER for module in (batch, braze, brevo, klaviyo, sendgrid, twilio)
}
