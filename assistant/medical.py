"""The only rule that answers before the model: questions of pain and injury go to a professional.

A question is medical if it names a complaint, an injury, a treatment or somebody who treats, or
asks what the movement does to the body. A figure of speech passes only where it is unmistakable ("a
pain in the neck to film"), some only where no part of the body is named beside it ("painful to
watch"). The rule knows words, not meanings; when in doubt a question is sent on.
"""

import re
import unicodedata
from typing import Final

REFERRAL: Final = (
    "I cannot judge pain, injuries or health. Stop if it hurts, and ask a doctor or a "
    "physiotherapist before you go on. I can only talk about how the movement looks."
)

# "My back" is a part of the body, "back foot" and "go back" are not.
_BACK: Final = (
    r"(?:my|your|his|her|their|the|a|lower|upper|mid|middle) back(?! (?:foot|leg|knee|arm))"
)
_JOINT_NAME: Final = (
    r"(?:knees?|kneecaps?|ankles?|wrists?|elbows?|shoulders?|hips?|neck|spine|spinal|joints?|groin|"
    rf"achilles|tailbone|shins?|rotator cuffs?|vertebrae?|discs?|nerves?|lumbar|{_BACK})"
)
# A joint, but not "my knee angle", which is technique and not health.
_JOINT: Final = (
    rf"{_JOINT_NAME}(?! (?:position|angle|height|path|turn|rotation|drive|hinge|bend|action|flick|"
    r"snap|flare|speed|alignment|placement|line|posture|width|tempo|timing))"
)
_OTHER_PARTS: Final = (
    r"(?:hamstrings?|quads?|quadriceps|cal(?:f|ves)|thighs?|glutes?|biceps|triceps|forearms?|"
    r"muscles?|bones?|body|chest|ribs?|stomach|belly|heels?|feet|foot(?!work)|toes?|legs?|arms?|"
    r"hands?|fingers?|thumbs?|head|skull|jaw|eyes?|face|lungs?)"
)
_BODY: Final = rf"(?:{_JOINT}|{_OTHER_PARTS})"
_ONES: Final = (
    r"(?:(?:my|your|his|her|their|our|the|one's|both|a|an|this|that|these|those) )?"
    r"(?:(?:left|right|lower|upper|front|back|old|other|poor) )*"
)
_SKILL: Final = (
    r"(?:score|shot|shooting|swing|form|technique|game|chances|squats?|lunges?|press|throws?|kicks?|"
    r"free throws?|penalt(?:y|ies)|serve|stroke|level|rating|progress|balance|timing|accuracy|grip|"
    r"footwork|stance|consistency|average|performance|distance|power|rhythm|result|style|feelings|"
    r"pride|ego)"
)
# Never meant bodily, whatever stands beside them.
_FIGURES: Final = (
    r"pain in the (neck|ass|butt|backside) to (film|record|set up|watch(?! out)|learn|master|"
    r"upload|edit|time)",
    r"no pain,? no gain|sore (loser|winner)|(like|as) a sore thumb|sick of|sick and tired",
    r"painfully (slow|obvious|bad|clear|aware|awkward|average|long)|what the doctor ordered",
    r"(can't|cannot|can not|won't|wouldn't|couldn't|never|doesn't) hurts? to (ask|know|check|"
    r"hear|try|film|record|have a look|see (it|that|this))",
    r"killing (my|the) (time|momentum|vibe)|clicks? (on|here|the (button|link))",
    r"pop(s|ped|ping)? up",
)
# Meant so only where no part of the body is named.
_LOOSE_FIGURES: Final = (
    r"painful to (watch|see|look at$)|pain points?",
    r"hurts? (me )?to (watch(?! (left|right|up|down))|see (it|this|that|myself))",
    rf"(hurt(s|ing)?|cramp(s|ing)?) my {_SKILL}|(can't|cannot|won't|wouldn't|couldn't) hurt to \w+",
    rf"(diagnos(e|ing|is of)|doctor) (my|this|the) {_SKILL}|diagnose (what|why|where|how)",
    r"(drills?|exercises?) (would|do|can|could|should|will) you prescribe",
    r"prescribe (me )?((a|an|some|any|one|the) )?(drills?|exercises?)",
    rf"tear (it|this|that|me|my {_SKILL}) (apart|to (shreds|pieces)|down)",
)
_COMPLAINTS: Final = (
    r"pain(s|ful|fully|ed)?|hurt(s|ing|ed)?|ach(e|es|ed|ing|y)|sore(ness|r)?|tender(ness)?|ouch",
    r"oww?",
    r"(knee|back|neck|shoulder|hip|wrist|elbow|ankle|foot|joint|heel|tooth|stomach)(pain|ache)s?",
    r"discomfort|agony|excruciating|unbearable|stings?|stinging|throb(s|bing)?|cramp(s|ed|ing)?",
    r"spasms?|stabbing (pain|feeling|sensation|in)|burning (feeling|sensation)|swell(s|ing)?",
    r"swollen|swelled|bruis(e|es|ed|ing)|\w*bleed(s|ing)?|blood|inflam\w*|numb(ness)?",
    r"tingl(e|es|ing|y)|pins and needles|dizz(y|iness)|vertigo|faint(ed|ing)?|light ?headed",
    r"nause(a|ous)|vomit\w*|headaches?|migraines?|fever|lumps?|rash|blisters?|limping|limped",
    r"(a|slight) limp|(short(ness)?|out) of breath|breathless|wheez\w*|chok(e|ed|ing) on",
    r"palpitations?|(can't|cannot|hard to|trouble|struggl\w+( to)?|difficult to) breath(e|ing)",
    r"tightness|chest (feels|is|gets|felt|was) tight|tight chest|see(ing)? stars|pass(ed)? out",
    r"blacked out|i collapsed|(blurr(y|ed)|double|tunnel) vision|vision (goes|went|gets)",
    r"black spots",
    r"heart (attack|rate|problem|condition|disease|racing|races|pounds|pounding|trouble|"
    r"flutter\w*|murmur|skip\w*|failure|surgery)",
    r"click(s|ing)?|pop(s|ped|ping)|giv(es?|ing) (way|out)|gave (way|out)|locks? up|locked up",
    r"twinges?|niggles?|killing me|stiff neck|pinch(es|ed|y)",
    r"pinching (feeling|sensation|in|at|when)|pinch in|(feel|feels|felt) (a )?pinch|trapped nerve",
    r"(hear|heard|feel|felt) (a|an|something|my \w+) (\w+ )?(pop|snap|crack|tear|rip|tug|pull|"
    r"clunk)",
    r"out of (joint|place|its socket)|snapping (sound|noise|feeling)|falls asleep|fell asleep",
)
_INJURIES: Final = (
    r"injur(y|ies|ed|e|ing)|wound(s|ed)?|damag(e|es|ed|ing)|harm(s|ed|ful|ing)?|whiplash",
    r"impinge\w*|strain(s|ed|ing)?|sprain(s|ed)?|torn|tear|tears|tearing|tore|ruptur\w*",
    r"fractur\w*|dislocat\w*",
    r"broken (bone|leg|arm|wrist|ankle|toe|rib|finger|foot|hand|collar ?bone|hip|nose)",
    r"heal(s|ed|ing)?",
    r"broke (my|a|the) (bone|leg|arm|wrist|ankle|toe|finger|foot|hand|rib|collar ?bone|hip|nose)",
    r"pulled (a|my|something)|tweaked something|concuss\w*|slipped dis[ck]|dangerous for my",
    r"disc (problem|bulge|injury)|bulging|herniat\w*|hernia|sciatica|acl|mcl|pcl|menisc\w*",
    r"cartilage|rotator cuffs?|labr(al|um)|tend[io]n\w*|ligaments?|arthr\w*|bursitis|itb|it band",
    r"(tennis|golfer'?s?|jumper'?s?|runner'?s?) (elbow|knee)|shin splints|plantar|scolios\w*|gout",
    r"osteo\w*|diabet\w*|asthma\w*|epilep\w*|seizures?|allerg\w*|anaemi\w*|anemi\w*|thyroid|lupus",
    r"cancer|tumou?rs?|chemo\w*|parkinson\w*|sclerosis|fibromyalgia|thrombos\w*|infect\w*|covid",
    r"disease|syndrome|disorder|illness|ill|flu|(have|caught|with) a cold|sickness|panic attack",
    r"((i|i'm|im|i am|i was|been|got|get|getting|feel|feels|feeling|felt|me)( \w+)?) sick",
    r"sick (leave|note)|(had|having|suffered|survived|after) (a|my) (\w+ )?stroke",
    r"disab(led|ility)|prosthe\w*|amput\w*|pregnan\w*|trimester|months (along|gone)",
    r"expecting (a|my|our|twins)|gave birth|c section|post ?(partum|natal)|breastfe\w*",
    r"baby(?! step)|pelvic floor|menopaus\w*|health|unhealthy",
)
_TREATMENT: Final = (
    r"surger(y|ies)|surgical|surgeon|operation|operated|stitches|implants?|pacemaker|physio\w*",
    r"therap(y|ies|ist|ists|eutic)|chiropract\w*|doctors?|dr|(my|the|a) docs?|nurse|clinic",
    r"hospital|medic(al|ally|ine|ines|ation|ations|s)?|diagnos\w*|symptoms?|rehab\w*",
    r"recover(y|ing) from|ibuprofen|paracetamol|aspirin|pain ?killers?|cortisone|steroids?",
    r"anti ?inflammator\w*|prescri\w*|mri|x ?rays?|icing (it|my)|ice (it|my|the)|crutch\w*",
    r"bandag\w*|kinesio\w*|in a cast",
)
# What the movement does to the body, and what the body does that it should not.
_BODILY: Final = (
    r"(bad|good|safe|unsafe|hard|okay|ok|fine|dangerous|risky|tough|rough|terrible|awful|great|"
    rf"better|worse) for {_ONES}{_BODY}",
    r"(safe|okay|ok|fine|risky|dangerous) (for|with|after) "
    r"(somebody|someone|people|anyone|old|seniors)",
    rf"(hard|tough|rough|harsh|gentle|brutal|heavy) on {_ONES}{_JOINT}",
    rf"do(es|ing)? to {_ONES}{_JOINT}|(will|would) {_ONES}{_JOINT} be",
    r"(ruin|wreck|destroy|bust|tweak|overload|protect|irritat|aggravat|jar|mess|blow|blew|wear)"
    rf"(e|es|s|ed|ing)?( out| up| down)? {_ONES}{_JOINT}",
    r"(twisted|rolled) (my|an|the|his|her) ((left|right) )?(ankle|knee|neck|back|wrist)",
    rf"(stress|pressure|load|impact|shock|toll) (\w+ )?(on|through|in|to) {_ONES}{_JOINT}",
    rf"{_BODY} (\w+ )?(feel|feels|feeling|felt) (\w+ ){{0,2}}(weird|funny|strange|odd|stiff|tight|"
    r"weak|unstable|hot|dead|asleep|raw|uncomfortable|not right|irritated|sensitive|jammed)",
    rf"feel(s|ing)? (it|this|that|something|everything) in {_ONES}{_JOINT}",
    rf"{_BODY} (\w+ ){{0,3}}(bother(s|ed|ing)?|(act|play)(s|ing) up)",
    rf"{_JOINT} (is|are) (shot|wrecked)|pressure (in|on) (my|the) chest",
    rf"{_BODY} (\w+ )?(kill(s|ed|ing)?|burn(s|ed|ing)?|((is|are) )?on fire|went out|goes out)",
    rf"(grind|creak|crunch|clunk|crackl)(s|y|e|es|ing|ed)? (\w+ ){{0,5}}{_BODY}",
    rf"{_BODY} (\w+ ){{0,5}}(grind|creak|crunch|clunk|crackl|crack)(s|y|e|es|ing|ed)?",
    r"(can't|cannot|couldn't|unable to|trouble) (\w+ )?"
    rf"(lift|rais|straighten|bend|mov|turn|rotat|extend|feel)(e|ing)? {_ONES}{_BODY}",
    rf"{_BODY} (won't|can't) (turn|bend|straighten|move|lift)",
    rf"(put|threw|throw|popped) ({_BACK}|(my|his|her) (neck|shoulder|knee)) out",
    rf"(threw|throw|blew) out {_ONES}{_JOINT}",
    rf"rest {_ONES}{_BODY} (for|until|till)|how long (should|must) i rest",
    rf"(bad|dodgy|gammy|bum|trick|busted|wonky|knackered|creaky|fused|artificial|new) {_ONES}"
    rf"({_JOINT}|back(?! (foot|leg|knee|arm|swing|angle|position))|heart)",
    rf"{_JOINT} (replace\w*|brace|sleeve|pads|support)|tap(e|ed|ing)( up)? {_ONES}{_JOINT}",
    rf"(have|has|had|got|with|history of|some|old|chronic|recurring) {_ONES}(chronic )?{_JOINT} "
    r"(problems?|issues?|trouble)",
)
# The plainest words of those who write in another language, accents left out.
_ELSEWHERE: Final = (
    r"duelen?|dol(ia|or|ores|oroso)|lesion(es|ado|ada)?|medico|lastim\w+|doi|doem|doendo|dor|dores",
    r"machuc\w+|lesao|fa(nno)? male|dolore|dolori|infortuni\w+|douleurs?|douloureu\w+|medecin",
    r"mal (au|aux|a la|a l'\w+)|blesse|blessee|blessures?|schmerz\w*|weh|wehtu\w*|verletz\w*|arzt",
    r"pijn|geblesseerd|dokter|boli|kontuzj\w+|бол(ь|и|ит|ят|ью|ели?|ела)|травм\w+|врач\w*",
)
# Written without spaces.
_UNSPACED: Final = re.compile("痛|疼|受伤|怪我|骨折")


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w'])(?:{'|'.join(patterns)})(?!\w)")


_FIGURE: Final = _any_of(*_FIGURES)
_LOOSE_FIGURE: Final = _any_of(*_LOOSE_FIGURES)
_PART: Final = _any_of(_JOINT_NAME, _OTHER_PARTS)
_WORDS: Final = _any_of(*_COMPLAINTS, *_INJURIES, *_TREATMENT, *_BODILY, *_ELSEWHERE)


def is_medical(question: str) -> bool:
    """Whether a question goes to a professional instead of the model."""
    text = _plain(question)
    # "|" stands for a figure, lest what was around it reads as one phrase.
    rest = _FIGURE.sub("|", text)
    if not _PART.search(rest):
        rest = _LOOSE_FIGURE.sub("|", rest)
    return bool(_WORDS.search(rest) or _UNSPACED.search(rest))


def _plain(question: str) -> str:
    """Lower case with single spaces; no accents, digits or marks but apostrophes in words."""
    parts = unicodedata.normalize("NFKD", question.replace("\u2019", "'"))
    letters = "".join(c for c in parts if not unicodedata.combining(c)).casefold()
    words = re.sub(r"[^\w']+|[\d_]+|(?<!\w)'+|'+(?!\w)", " ", letters)
    return " ".join(words.split())
