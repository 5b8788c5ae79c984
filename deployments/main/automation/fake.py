"""The automation engine over stores in memory."""

from autobot.contracts.automations import FakeAutomations
from autobot.contracts.keys import FakeKeys
from autobot.contracts.runs import FakeRuns
from autobot.contracts.secrets import FakeSecrets, Secrets
from autobot.keys import KeyRing
from autobot.tools.registry import Registry
from deployments.main.automation.hooks import HookSecrets
from deployments.main.automation.room import AutomationRoom


def fake_automation(
    keys: FakeKeys, ring: KeyRing, registry: Registry, secrets: Secrets | None = None
) -> AutomationRoom:
    """Return one that keeps nothing beyond its process."""
    return AutomationRoom(
        FakeAutomations(),
        FakeRuns(),
        keys,
        ring,
        registry,
        ring.refresh,
        secrets or FakeSecrets(),
        hooks=HookSecrets(b"k" * 32),
    )
