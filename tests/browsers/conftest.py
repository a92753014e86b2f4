from __future__ import annotations

from tests.output.test_page_browser import report
from tests.serve.conftest import address

__all__ = ["address", "report"]  # fixtures
