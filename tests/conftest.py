"""Every test runs the library with its shape annotations executed."""

from jaxtyping import install_import_hook

# Must come before anything imports rlhf_core. An int may stand for a float, as PEP 484 says.
install_import_hook(
    "rlhf_core", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
)
