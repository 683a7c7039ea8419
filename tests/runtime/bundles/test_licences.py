"""A plain sentence describes what a licence's strictest part allows."""

import pytest

from metaser.runtime import open_bundle, shipped_bundles
from metaser.runtime.bundles.licences import UNKNOWN, is_permissive, what_it_allows


@pytest.mark.parametrize("licence", ["MIT", "CC0-1.0", "Apache-2.0 AND MIT", "(MIT OR Apache-2.0) AND CC-BY-4.0"])
def test_a_licence_that_asks_for_no_more_than_credit_is_permissive(licence: str) -> None:
    assert is_permissive(licence)
    assert what_it_allows(licence).startswith("any use")


@pytest.mark.parametrize(
    "licence", ["CC-BY-NC-SA-4.0", "MIT AND CC-BY-NC-SA-4.0", "LicenseRef-unknown", "mit", "", " "]
)
def test_any_other_is_not(licence: str) -> None:
    assert not is_permissive(licence)


def test_a_licence_of_several_parts_allows_what_its_strictest_part_does() -> None:
    strictest = what_it_allows("CC-BY-NC-SA-4.0")
    for part in ("no commercial use", "credit", "same licence"):
        assert part in strictest
    assert what_it_allows("MIT AND CC-BY-NC-SA-4.0") == strictest
    assert what_it_allows("MIT AND LicenseRef-ours") == what_it_allows("") == UNKNOWN


@pytest.mark.parametrize("name", shipped_bundles())
def test_the_licence_of_every_shipped_bundle_is_known(name: str) -> None:
    assert what_it_allows(open_bundle(name).manifest.licence) != UNKNOWN
