"""The shipped suite, run over every archive that is found."""

from __future__ import annotations

import pytest

from evokern.plugins import registry
from evokern.testing.archives import ArchiveSuite

ARCHIVES = registry.discover("archives")


class TestArchives(ArchiveSuite):
    @pytest.fixture(params=sorted(ARCHIVES))
    def plugin(self, request):
        return ARCHIVES[request.param]
