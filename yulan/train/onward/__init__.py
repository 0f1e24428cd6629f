"""Train on from a checkpoint that came from elsewhere: a pulled states folder, a copy, another machine's run.

With the clone's own mix (`clone`), or with text and a phase that someone brings (`own`); the latter needs no clone.
"""

from yulan.train.onward.clone import continue_from
from yulan.train.onward.own import Brought, continue_with
from yulan.train.onward.phase import PhaseFile, load_phase
from yulan.train.onward.record import RECORD, Base, Continued, read_record
from yulan.train.onward.start import INSIDE, find_checkpoint, require_fitting, require_moments

__all__ = [
    "INSIDE",
    "RECORD",
    "Base",
    "Brought",
    "Continued",
    "PhaseFile",
    "continue_from",
    "continue_with",
    "find_checkpoint",
    "load_phase",
    "read_record",
    "require_fitting",
    "require_moments",
]
