"""The codes of a report: value, coding scheme and meaning, as PS3.16 gives them."""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple


class Code(NamedTuple):
    """A coded concept."""

    value: str
    scheme: str
    meaning: str

    def to_concept(self, hd: ModuleType) -> Any:
        """Return it as a concept of highdicom, the module ``hd``."""
        return hd.sr.CodedConcept(self.value, self.scheme, self.meaning)


OWN_SCHEME = "99EDGESEG"
"""Of the classes of a model, which only the model defines."""

HEAD_CIRCUMFERENCE = Code("11984-2", "LN", "Head Circumference")
BIPARIETAL_DIAMETER = Code("11820-8", "LN", "Biparietal Diameter")
OCCIPITAL_FRONTAL_DIAMETER = Code("11851-3", "LN", "Occipital-Frontal Diameter")
AREA = Code("42798000", "SCT", "Area")
MM = Code("mm", "UCUM", "mm")
MM2 = Code("mm2", "UCUM", "square millimeter")
# CID 225, of TID 310
ABOVE = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
BELOW = Code("371885007", "SCT", "-, range of lower measurement uncertainty")
# CID 42: a number that does not stand for itself
INDETERMINATE = Code("114011", "DCM", "Value indeterminate")
COMMENT = Code("121106", "DCM", "Comment")

HEAD = Code("69536005", "SCT", "Head")
# CID 7150: what a segment or finding is a kind of; of a model's own class nothing more is known
STRUCTURE = Code("91723000", "SCT", "Anatomical Structure")
REGION = Code("309825002", "SCT", "Spatial and Relational Concept")
FETUS = Code("121026", "DCM", "Fetus")
DEVICE = Code("121007", "DCM", "Device")
ENGLISH = Code("en-US", "RFC5646", "English (United States)")
# CID 100, which has no ultrasound
PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")
