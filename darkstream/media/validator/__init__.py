"""The manifests of a presentation, and its segments, held against the rules of HLS and DASH.

Each violation names its rule: of RFC 8216bis (draft-pantos-hls-rfc8216bis), Apple's HLS Authoring
Specification, ISO/IEC 23009-1 (DASH), ISO/IEC 23001-7 (Common Encryption), or the DASH-IF
interoperability points (IOP 4.3). It reads what lies there, and trusts nothing that wrote it.
"""

from darkstream.media.validator.presentation import check_presentation
from darkstream.media.validator.violations import Violation

__all__ = ["Violation", "check_presentation"]
