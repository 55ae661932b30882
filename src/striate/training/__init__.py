"""Training: batches in, the weights of the best epoch out.

Importing this room loads neither torch nor Lightning; `fit`, `find_lr` and `choose_engine` load them when
they are called. `array_session.fit_arrays` trains on the glass-box engine, without them.
"""

from striate.training.checkpoints import CHECKPOINT_NAME, Checkpoint, read_checkpoint
from striate.training.devices import Engine, choose_engine
from striate.training.loop import fit
from striate.training.lr_finder import find_lr
from striate.training.records import EpochRecord, Fitted, LrFinding, Progress

__all__ = [
    "CHECKPOINT_NAME",
    "Checkpoint",
    "Engine",
    "EpochRecord",
    "Fitted",
    "LrFinding",
    "Progress",
    "choose_engine",
    "find_lr",
    "fit",
    "read_checkpoint",
]
