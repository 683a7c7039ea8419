"""What the licence of a bundle's weights allows, in a plain sentence."""

from __future__ import annotations

import re

PERMITTED = {
    "Apache-2.0": "any use, with its notices kept and changes stated",
    "BSD-2-Clause": "any use, with its notice kept",
    "BSD-3-Clause": "any use, with its notice kept",
    "CC-BY-4.0": "any use, with credit",
    "CC0-1.0": "any use",
    "ISC": "any use, with its notice kept",
    "MIT": "any use, with its notice kept",
}
"""SPDX licences that require at most credit."""

RESTRICTED = {
    "CC-BY-NC-4.0": "no commercial use; give credit",
    "CC-BY-NC-SA-4.0": "no commercial use; give credit; what you make of it goes under the same licence",
    "CC-BY-NC-ND-4.0": "no commercial use; give credit; changed versions are not to be shared",
    "CC-BY-SA-4.0": "any use, with credit; what you make of it goes under the same licence",
}
UNKNOWN = "metaser does not know this licence: read LICENSE in the bundle's folder"
JOINTS = re.compile(r"\s+(?:AND|OR|WITH)\s+|[()]")


def is_permissive(licence: str) -> bool:
    """Whether every part of an SPDX expression requires at most credit."""
    found = parts(licence)
    return bool(found) and set(found) <= set(PERMITTED)


def what_it_allows(licence: str) -> str:
    """A sentence for an SPDX expression: what its most restrictive part allows, as far as metaser knows."""
    found = parts(licence)
    unknown = [part for part in found if part not in PERMITTED and part not in RESTRICTED]
    if unknown or not found:
        return UNKNOWN
    sentences = [RESTRICTED[part] for part in found if part in RESTRICTED] or [PERMITTED[part] for part in found]
    return "; ".join(dict.fromkeys(sentences))


def parts(licence: str) -> list[str]:
    """The licences that an SPDX expression names."""
    return [part for part in (text.strip() for text in JOINTS.split(licence)) if part]
