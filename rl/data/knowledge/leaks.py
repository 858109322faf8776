"""Finds where a teacher's text mentions what only the teacher was given: a hint, red boxes, the annotated truth.

A text that leaks teaches the policy to rely on things it will not have; a clean text that is refused costs only a
retry. Ambiguous words therefore count as a leak. No leak is what an inspector says about a part ("a hint of rust",
"this hints at a bent pin", "boxed in red packaging", "at the given position") or about images that the policy sees.
"""

import re
import unicodedata
from functools import lru_cache

HINT_WORDS = 7
"""Words in a run that make it a copy of the hint; a shorter one, e.g. "this sample is abnormal", may be chance."""
WORD = re.compile(r"[^\W_]+|[.,;:!?()\[\]]")
END = r"(?= [.,;:!?()\[\]]|$| (?:on|at|in|by|near|is|was|that|which|to|within|around|here|there|for|as)\b)"
"""Text that may follow "in red" in a leak; "in red packaging" is none."""
DRAWN = (
    r"(?:bounding|boundary|rectangular|annotation|marker|marking|highlight|highlighting|thin|thick|dashed|solid|drawn|detection"
    r"|square|hollow|colou?red|overlaid|overlay|hand)"
)
BOX = r"(?:box|boxes|bbox|bboxes|rectangles?)"
SHAPE = r"(?:frames?|outlines?|squares?|borders?|circles?|contours?|ellipses?|lines?|arrows?|markers?|markings?)"
POINTED = (
    r"(?:highlighted|outlined|circled|boxed|framed|encircled|enclosed|marked|annotated|indicated|delineated|bounded"
    r"|surrounded|delimited|emphasi[sz]ed|drawn)"
)
POINTS = r"(?:shows?|marks?|highlights?|indicates?|encloses?|points?|surrounds?|delineates?|outlines?|pinpoints?)"
PLACE = r"(?:area|areas|region|regions|zone|zones|location|locations|spot|part|section|defect|defects|anomaly)"
TOLD = (
    r"(?:given|provided|supplied|hinted|told|instructed|informed|disclosed|specified|directed|briefed|advised"
    r"|prompted|requested)"
)
SAID = (
    r"(?:stated|mentioned|noted|indicated|described|shown|suggested|implied|marked|labell?ed|annotated|highlighted"
    r"|requested|expected|pointed out|revealed|listed|outlined|written|claimed|asserted)"
)
SAYS = (
    r"(?:says|said|states|stated|tells|told|gives|gave|provides|provided|hints|hinted|indicates|indicated|mentions"
    r"|mentioned|reveals|revealed|specifies|specified|suggests|suggested|notes|noted|claims|implies|implied|points"
    r"|confirms|confirmed|instructs|instructed|asserts|discloses)"
)
SOURCE = (
    r"(?:prompt|prompts|question|user|users|instruction|instructions|task|request|brief|briefing|system|message"
    r"|input text|metadata|teacher)"
)
HANDED = (
    r"(?:hints?|annotations?|ground truths?|bounding box(?:es)?|bbox(?:es)?|coordinates?|instructions?|prompt|metadata"
    r"|(?:correct |right |true |expected )?answer|user|request|teacher)"
)
"""Things that only a teacher is given."""
SECRET = (
    rf"(?:{HANDED}|box(?:es)?|rectangles?|verdict|labels?|masks?|clues?|information|info|details|data|context|guidance"
    r"|solution|statement|defect (?:type|location))"
)
"""Things that may also be on a part, so that they leak only if they are called given."""
ACCORDING = (
    r"(?:according to|based (?:up)?on|as per|per|going by|relying on|in (?:line|accordance|agreement|keeping) with"
    r"|consistent with|following|judging (?:by|from)|guided by|thanks to)"
)
SEEN = (
    r"(?:reference |normal |second |first |query |input |test |sample )?"
    r"(?:images?|pictures?|photos?|photographs?|views?)"
)
WAS = r"(?:was|were|am|are|have been|had been|ve been)"
PATTERNS = (
    # Marks drawn on the teacher's image.
    rf"red (?:{DRAWN} ){{0,3}}{BOX}",
    rf"{BOX} in red{END}",
    rf"{BOX} (?:(?:that|which|is|are|was|were) ){{0,2}}(?:drawn|outlined|shown|overlaid) (?:\w+ )?in (?:the )?red",
    rf"{POINTED} (?:\w+ )?in (?:bright |the )?red{END}",
    rf"{POINTED} (?:by|with|within|inside|in) (?:(?:an?|the|thin|thick|bright) ){{0,2}}red (?:{DRAWN} ){{0,2}}{SHAPE}",
    rf"red (?:{DRAWN} ){{0,2}}{SHAPE} (?:\w+ )?{POINTS}",
    rf"red (?:boxed|outlined|framed|circled|highlighted|encircled|marked) {PLACE}",
    rf"{PLACE} in red{END}",
    rf"(?:inside|within) the red{END}",
    rf"the (?:highlighted|annotated|boxed|outlined|circled|indicated|designated|marked) (?:{BOX}|{PLACE})",
    # The hint itself, but not "hints at" and "a hint of", which describe defects.
    r"hints?(?= [.,;:!?()\[\]]|$)",
    r"(?:the|your|my|our|these|given|provided|supplied|above|following|from|by|per|with|under|use|using) hints?",
    r"(?:this|that) hint(?! at)",
    r"hinted",
    r"hint (?!of\b|at\b)\w+",
    r"hints (?!of\b|at\b|that\b)\w+",
    rf"{SOURCE} (?:\w+ )?hint(?:s|ing)? at",
    r"hints? of (?:(?:the|what|which|an?) )?(?:answer|truth|label|option|prompt|question|task|user)",
    # Words that refer to something given to the teacher.
    rf"as (?:(?:is|was|were|has been|have been|i was|we were|i am|we are|you|already|previously|clearly|explicitly"
    rf"|directly|initially) ){{0,2}}{TOLD}",
    rf"as (?:\w+ )?{SAID} (?:\w+ )?(?:in|by|from|within|through) (?:(?:the|your|this|my|these) )?(?:\w+ )?"
    rf"(?:{SOURCE}|{HANDED})",
    rf"as {SAID} (?:above|earlier|before|beforehand|previously|to me)",
    r"according to (?:(?:the|this|these|your|what|my) )?(?:\w+ )?(?:provided|given|supplied|stated|disclosed)",
    rf"{ACCORDING} (?:(?:the|this|these|your|what|my) )?(?:\w+ )?(?:provided|supplied)(?! {SEEN})",
    rf"{ACCORDING} (?:the|this|these|your|my) (?:\w+ )?{HANDED}",
    rf"{ACCORDING} (?:the|this|these|your) {SECRET} (?:given|provided|supplied)",
    rf"{ACCORDING} what (?:you|(?:i|we) {WAS}|(?:was|is|has been|had been) (?:{TOLD}|{SAID}))",
    rf"(?:provided|supplied|given|known|stated|specified|disclosed) {SECRET}",
    rf"given the {HANDED}",
    rf"{SECRET} (?:(?:that|which|i|we|you|was|were|has|have|been) ){{0,3}}(?:provided|supplied|disclosed|told)"
    r"(?! on| with)",
    rf"(?:{TOLD}|{SAID}) (?:\w+ )?(?:in|by) (?:the|your|this) {SOURCE}",
    rf"(?:i|we) {WAS} (?:\w+ )?(?:{TOLD}|asked to (?:conclude|say|answer|reason))",
    rf"you (?:\w+ )?(?:{SAYS}|gave|supplied|asked|want|wanted)",
    rf"(?:the|this|your) {SOURCE} (?:\w+ )?{SAYS}",
    # Places that hold the truth.
    r"ground truths?",
    r"annotat\w+",
    r"(?:segmentation|defect|anomaly|binary|pixel) masks?",
    r"(?:labell?ed|tagged|flagged) (?:as )?(?:being )?(?:defective|abnormal|anomalous|normal|good|bad)",
    r"(?:file|folder) ?names?",
    r"answer key",
    r"metadata",
)
LEAK = re.compile("|".join(rf"(?<!\w)(?:{pattern})(?!\w)" for pattern in PATTERNS))


def leaks(text: str, hint: str = "") -> tuple[str, ...]:
    """Return the words that leak, in small letters, one item per place, in time linear in the text's length.

    >>> leaks("The red  bounding-box marks a scratch, as given; boxed in red packaging at the given position.")
    ('red bounding box', 'as given')
    >>> leaks("So keep to the form that is asked for.", hint="Keep to the form that is asked for, silently.")
    ('keep to the form that is asked',)
    """
    plain = _plain(text)
    return tuple(match[0] for match in LEAK.finditer(plain)) + _copied(plain, hint)


def _copied(plain: str, hint: str) -> tuple[str, ...]:
    """Return the first run of HINT_WORDS words that is also in the hint."""
    told = _runs(_plain(hint))
    run = next((run for run in _runs(plain) if run in told), None)
    return (" ".join(run),) if run else ()


def _runs(plain: str) -> dict[tuple[str, ...], None]:
    words = [word for word in plain.split() if word[0].isalnum()]
    return dict.fromkeys(tuple(words[i : i + HINT_WORDS]) for i in range(len(words) - HINT_WORDS + 1))


@lru_cache(maxsize=8)
def _plain(text: str) -> str:
    """Return words and punctuation in small letters, separated by spaces, without formatting characters."""
    normal = unicodedata.normalize("NFKC", text)
    seen = "".join(character for character in normal if unicodedata.category(character) != "Cf")
    return " ".join(WORD.findall(seen.casefold()))
