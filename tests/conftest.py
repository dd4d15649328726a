"""Every test runs the library with its shape annotations executed, and ends its children itself."""

import signal

from jaxtyping import install_import_hook

# Must come before anything imports rlhf_core. An int may stand for a float, as PEP 484 says.
install_import_hook(
    "rlhf_core", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)

# A shell that runs the tests in the background, or under nohup, has them and all their children
# ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
