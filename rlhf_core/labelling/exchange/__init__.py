"""Answers of people as judgements of a round, and as files of labels.

`judgements` and `answering` make what a round learns from; `exporting` and `importing` write and
read the files of `rlhf_core.label_sets`.
"""

from rlhf_core.labelling.exchange.answering import answers_of, stored_request
from rlhf_core.labelling.exchange.exporting import export_labels, labels_of
from rlhf_core.labelling.exchange.importing import import_answers

__all__ = ["answers_of", "export_labels", "import_answers", "labels_of", "stored_request"]
