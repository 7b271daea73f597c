"""Language codes: containers say ISO 639-2, the web's manifests want RFC 5646."""

from __future__ import annotations

_SHORT = {
    "ara": "ar",
    "bul": "bg",
    "ces": "cs",
    "chi": "zh",
    "cze": "cs",
    "dan": "da",
    "deu": "de",
    "dut": "nl",
    "ell": "el",
    "eng": "en",
    "est": "et",
    "fin": "fi",
    "fra": "fr",
    "fre": "fr",
    "ger": "de",
    "gre": "el",
    "heb": "he",
    "hin": "hi",
    "hrv": "hr",
    "hun": "hu",
    "ind": "id",
    "ita": "it",
    "jpn": "ja",
    "kor": "ko",
    "lav": "lv",
    "lit": "lt",
    "nld": "nl",
    "nor": "no",
    "pol": "pl",
    "por": "pt",
    "ron": "ro",
    "rum": "ro",
    "rus": "ru",
    "slk": "sk",
    "slo": "sk",
    "slv": "sl",
    "spa": "es",
    "srp": "sr",
    "swe": "sv",
    "tha": "th",
    "tur": "tr",
    "ukr": "uk",
    "vie": "vi",
    "zho": "zh",
}

_LONG = {short: long for long, short in reversed(_SHORT.items())}


def language_tag(language: str) -> str:
    """The RFC 5646 tag of a container's language: the two-letter code where there is one."""
    return _SHORT.get(language.lower(), language)


def same_language(one: str, other: str | None) -> bool:
    """Whether two codes mean one language: 'en', 'eng' and 'en-GB' do, None is 'und'."""
    return _plain(one) == _plain(other or "und")


def _plain(language: str) -> str:
    primary = language.lower().partition("-")[0]
    return _SHORT.get(primary, primary)


def language_code(language: str) -> str:
    """The three letters that MP4 has room for: of 'pt-BR', 'por'; others as they are."""
    return _LONG.get(language.lower().partition("-")[0], language)
