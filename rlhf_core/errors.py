"""Every error that this project raises on purpose.

RlhfError
├── ConfigurationError          the experiment cannot be run as written
│   ├── UnsupportedSpaceError   an observation or action space that the loop cannot learn on
│   ├── UnknownKindError        no plug-in of that name in the family
│   └── MatrixError             cells of a comparison that cannot be run, every one of them named
├── ShapeError                  an array that does not have the documented axes
├── StoreError                  the artifact store cannot be read or written
│   └── DamagedError            a file of the store is not what was written
├── RunError                    a run that does not exist, is finished, or is still going on
├── LabellingError              the label store refuses what an annotator or its owner asks for
├── AnswersPendingError         people have not answered enough yet; the run can go on later
├── ServiceError                a tracking or orchestration server that does not answer
├── BrokenEnvironmentError      an environment that raised, or returned what it must not
└── DivergedError               weights, losses or actions that are no finite numbers any more

A message says what was expected, what came, and what to do about it. Exit status 1 belongs to the
last two, which happen in the middle of a run, and 2 to all others. Any other exception is a defect
of ours, or of a plug-in.
"""

from collections.abc import Sequence


class RlhfError(Exception):
    """Root of the tree."""


class ConfigurationError(RlhfError):
    """The experiment cannot be run as written."""


class UnsupportedSpaceError(ConfigurationError):
    """An observation or action space that the loop cannot learn on."""


class UnknownKindError(ConfigurationError):
    """No plug-in of that name in the family."""


class MatrixError(ConfigurationError):
    """Cells of a comparison cannot be run as written."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)
        """One sentence each."""


class ShapeError(RlhfError):
    """An array does not have the documented axes."""


class StoreError(RlhfError):
    """The artifact store cannot be read or written."""


class DamagedError(StoreError):
    """A file of the store is not what was written."""


class RunError(RlhfError):
    """A run that does not exist, is finished, or is still going on."""


class LabellingError(RlhfError):
    """The label store refuses what an annotator or its owner asks for."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
        """unknown (there is no such thing), gone (it was there), or conflict."""


class AnswersPendingError(RlhfError):
    """People have not answered enough yet; the run is left here and entered again later."""


class ServiceError(RlhfError):
    """A tracking or orchestration server that does not answer."""


class BrokenEnvironmentError(RlhfError):
    """An environment raised an exception, or returned what it must not."""


class DivergedError(RlhfError):
    """Weights, losses or actions are no finite numbers any more."""


class UnusedFieldWarning(UserWarning):
    """A field that belongs to another kind of the same family was set aside."""

    def __init__(self, family: str, field: str, kind: str) -> None:
        super().__init__(f"{family}: field '{field}' is not used by kind '{kind}'")
        self.field = field
        self.kind = kind
