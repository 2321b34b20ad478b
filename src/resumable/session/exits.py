"""What the store learns when a session ends early."""

from __future__ import annotations

from dataclasses import replace

from resumable.control.claims import Claim
from resumable.control.status import fenced
from resumable.errors import Paused, Superseded, UnknownRun
from resumable.redaction import redact

__all__ = ["record_exit"]


def record_exit(claim: Claim, error: BaseException) -> Superseded | None:
    """Tell the store how the session ended, if it can still be told; or the reason why it is not ours to tell."""
    try:
        return _record(claim, error)
    except Superseded as newer:
        return newer
    except Exception:  # safety doesn't rest on it
        return None


def _record(claim: Claim, error: BaseException) -> Superseded | None:
    last = claim.last
    stored = claim.store.load(claim.name)
    if stored is not None and stored.claim == claim.id:
        last = stored.checkpoint  # an interrupt may have struck when a save was done, and before it was known
    if isinstance(error, Superseded):
        # The store knows more than a target whose ledger row is gone: it may have been ended rightly.
        return fenced(claim.name, stored) if stored is not None and stored.claim != claim.id else None
    if not last.is_begun and not last.definition:
        claim.delete()
    elif last.stage == "new" and isinstance(error, UnknownRun):  # left to a worker, and called off before it began
        claim.save(last.call_off(), release=True)
    elif last.is_finished:
        claim.release()
    elif isinstance(error, (Paused, GeneratorExit, KeyboardInterrupt)):
        claim.save(replace(last, stopped_as="paused", error=""), release=True)
    else:
        failed = replace(last, stopped_as="failed", error=redact(str(error) or type(error).__name__))
        claim.save(failed, release=True, withdraw=not getattr(error, "transient", False))
    return None
