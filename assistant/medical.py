"""The only rule that answers before the model: questions of pain and injury go to a professional.

A question is medical if it names a complaint, an injury, a treatment or somebody who treats, unless
the words are a figure of speech ("painful to watch", "what hurts my swing"). The words stand here
and in docs/chat.md; when in doubt a question is sent on.
"""

import re
from typing import Final

REFERRAL: Final = (
    "I cannot judge pain, injuries or health. Stop if it hurts, and ask a doctor or a "
    "physiotherapist before you go on. I can only talk about how the movement looks."
)

_FIGURES: Final = re.compile(
    r"painful(ly)? (to (watch|look|see)|slow|obvious|bad)|no pain,? no gain|pain in the (neck|ass)|"
    r"hurts? (to (watch|look|see)|my (eyes|score|shot|swing|form|technique|game|chances|"
    r"squats?|lunges?|press|throw|free throws?|kicks?|penalt(y|ies)|level|rating|progress)\b)|"
    r"(heart|core) of|at heart|by heart|break(ing)? (it )?down|broken down|"
    r"\bdoctor (my|the) (swing|shot)|sick (shot|swing|kick)"
)
# Complaints; injuries and conditions; treatment and those who treat.
_COMPLAINTS: Final = (
    r"pain(s|ful|fully|ed)?|hurt(s|ing|ed)?|ach(e|es|ed|ing|y)|sore(ness|r)?|tender(ness)?",
    r"stings?|stinging|throb(s|bing)?|cramp(s|ed|ing)?|spasms?|stabbing",
    r"burning (feeling|sensation)|swell(s|ing)?|swollen|swelled|bruis(e|es|ed|ing)",
    r"bleed(s|ing)?|inflam\w*|numb(ness)?|tingl(e|es|ing|y)|pins and needles|dizz(y|iness)",
    r"faint(ed|ing)?|light ?headed|nause(a|ous)|vomit\w*|headaches?|migraines?|fever",
    r"short(ness)? of breath|breathless|palpitations?|chest (feels tight|tight(ness)?)",
    r"tight(ness in my)? chest|heart (attack|rate|problem|condition|disease|racing|trouble)",
    r"blood pressure|pass(ed)? out|blacked out|click(s|ing)?|pop(s|ped|ping)|gives? way|gave out",
    r"locks? up|twinges?|niggles?|killing me|stiff neck",
)
_INJURIES: Final = (
    r"bad (knees?|back|shoulders?|hips?|neck|elbows?|wrists?|ankles?|heart|disc)|whiplash",
    r"ill|illness|sick|flu|dangerous for my|impinge\w*|injur(y|ies|ed|e)|sprain(s|ed)?|strained",
    r"torn|tear|tore|ruptur\w*|fractur\w*|dislocat\w*|broken (bone|leg|arm|wrist|ankle|toe|rib)",
    r"broke (my|a|the) (bone|leg|arm|wrist|ankle|toe|finger|foot|hand|rib|collar ?bone|hip|nose)",
    r"pulled (a|my|something)|(twisted|rolled|tweaked) (my|an|the)|concuss\w*|slipped dis[ck]",
    r"disc (problem|bulge|injury)|bulging|herniat\w*|hernia|sciatica|acl|mcl|pcl|menisc\w*",
    r"rotator cuff|labr(al|um)|tend[io]n\w*|ligaments?|arthriti\w*|bursitis",
    r"(tennis|golfer'?s?|jumper'?s?|runner'?s?) (elbow|knee)|shin splints|plantar|scolios\w*",
    r"osteo\w*|stress fracture|diabet\w*|asthma|epilep\w*|pregnan\w*|post ?partum",
)
_TREATMENT: Final = (
    r"surger(y|ies)|surgical|surgeon|operation|operated|stitches|physio\w*|physical therap\w*",
    r"chiropract\w*|doctors?|dr|medic(al|ally|ine|ines|ation|ations|s)?|diagnos\w*|symptoms?",
    r"rehab\w*|recover(y|ing) from|ibuprofen|paracetamol|aspirin|painkillers?|cortisone",
    r"anti ?inflammator\w*|prescri\w*|mri|x ?rays?|icing (it|my)|ice (it|my|the)|hospital",
)
_WORDS: Final = re.compile(rf"\b({'|'.join((*_COMPLAINTS, *_INJURIES, *_TREATMENT))})\b")


def is_medical(question: str) -> bool:
    """Whether a question goes to a professional instead of the model."""
    text = re.sub(r"[^a-z' ]+", " ", question.lower().replace("-", " "))
    text = " ".join(text.split())
    return bool(_WORDS.search(_FIGURES.sub(" ", text)))
