"""Data behind `skfau.facs`: one row per action unit and the published ROI rules.

The sentences are ours. They say what the face looks like while the unit acts, so
that a sentence encoder can tell the units apart; they are no coding criteria.
"""

_UPPER, _LOWER = "upper face", "lower face"
_NECK, _HEAD, _GAZE = "neck", "head", "gaze"

# number, name, muscle, region, bilateral, description
ROWS = (
    (1, "Inner brow raiser", "Frontalis, medial part", _UPPER, True,
     "The inner ends of the eyebrows lift, and short wrinkles appear in the middle "
     "of the forehead."),
    (2, "Outer brow raiser", "Frontalis, lateral part", _UPPER, True,
     "The outer thirds of the eyebrows rise into an arch, which folds the skin "
     "above them and uncovers more of the upper eyelids."),
    (4, "Brow lowerer", "Corrugator supercilii, depressor supercilii", _UPPER, True,
     "The eyebrows sink and move towards each other, with upright furrows between "
     "them."),
    (5, "Upper lid raiser", "Levator palpebrae superioris", _UPPER, True,
     "The upper eyelids pull back, so that the eyes look wide open and white shows "
     "above the iris."),
    (6, "Cheek raiser", "Orbicularis oculi, orbital part", _UPPER, True,
     "The cheeks push up under the eyes, pouches form below the lower lids, and "
     "fine lines fan out from the outer eye corners."),
    (7, "Lid tightener", "Orbicularis oculi, palpebral part", _UPPER, True,
     "The lower eyelids tense, straighten and rise, leaving a narrow opening as in "
     "a squint."),
    (8, "Lips toward each other", "Orbicularis oris", _LOWER, False,
     "The two lips stretch towards one another across an open mouth."),
    (9, "Nose wrinkler", "Levator labii superioris alaeque nasi", _LOWER, True,
     "The bridge of the nose crinkles while the nostril wings and the middle of the "
     "upper lip are drawn upwards."),
    (10, "Upper lip raiser", "Levator labii superioris", _LOWER, True,
     "The upper lip lifts, most in its middle, and the creases running down beside "
     "the nose bend and deepen."),
    (11, "Nasolabial deepener", "Zygomaticus minor", _LOWER, True,
     "The middle stretch of the crease between nose and mouth corner sinks in while "
     "the mouth barely moves."),
    (12, "Lip corner puller", "Zygomaticus major", _LOWER, True,
     "The corners of the mouth slant up and out towards the cheekbones as in a "
     "smile."),
    (13, "Sharp lip puller", "Levator anguli oris", _LOWER, True,
     "The mouth corners rise steeply and look pinched, with small round puffs in "
     "the cheeks above them."),
    (14, "Dimpler", "Buccinator", _LOWER, True,
     "The mouth corners tuck inwards against the teeth and leave a small pit or "
     "fold beside them."),
    (15, "Lip corner depressor", "Depressor anguli oris", _LOWER, True,
     "The mouth corners turn down, and small pouches gather below them."),
    (16, "Lower lip depressor", "Depressor labii inferioris", _LOWER, True,
     "The lower lip is pulled down and flattened, often baring the lower teeth."),
    (17, "Chin raiser", "Mentalis", _LOWER, False,
     "The chin pad moves up and turns bumpy, pushing the lower lip out and upwards."),
    (18, "Lip pucker", "Incisivii labii", _LOWER, False,
     "The mouth becomes small and round and its lips come forward as for a kiss."),
    (19, "Tongue show", "Tongue muscles", _LOWER, False,
     "The tongue is visible between the lips or beyond them."),
    (20, "Lip stretcher", "Risorius", _LOWER, True,
     "The mouth is drawn wide straight towards the ears, and its lips become long "
     "and flat."),
    (21, "Neck tightener", "Platysma", _NECK, True,
     "Cords and sheets of skin stand out on the neck below the jaw."),
    (22, "Lip funneler", "Orbicularis oris", _LOWER, False,
     "The lips flare outwards like a trumpet and show their moist inner side."),
    (23, "Lip tightener", "Orbicularis oris", _LOWER, False,
     "The lips become tense and thin and their red edges roll inwards, without being "
     "squeezed together."),
    (24, "Lip presser", "Orbicularis oris", _LOWER, False,
     "The closed lips are squeezed against each other, with bulging skin above and "
     "below their thinned line."),
    (25, "Lips part", "Depressor labii inferioris, relaxed mentalis", _LOWER, False,
     "A gap opens between the lips and may show the teeth, while the jaw stays up."),
    (26, "Jaw drop", "Relaxed masseter and temporalis", _LOWER, False,
     "The jaw hangs slack, so that the teeth separate and the face grows a little "
     "longer."),
    (27, "Mouth stretch", "Pterygoids, digastric", _LOWER, False,
     "The mouth is forced wide open from top to bottom and the cheeks are pulled "
     "flat, as in a yawn."),
    (28, "Lip suck", "Orbicularis oris", _LOWER, False,
     "One or both lips are drawn in over the teeth, hiding their red part."),
    (29, "Jaw thrust", "Pterygoids, masseter", _LOWER, False,
     "The lower jaw slides forward, so that the chin sticks out."),
    (30, "Jaw sideways", "Pterygoids, temporalis", _LOWER, False,
     "The chin shifts to one side and leaves the midline of the face."),
    (31, "Jaw clencher", "Masseter", _LOWER, True,
     "The teeth are clamped, and a hard bulge shows at the angle of the jaw."),
    (32, "Lip bite", "Orbicularis oris, masseter", _LOWER, False,
     "The teeth hold on to a part of a lip."),
    (33, "Cheek blow", "Buccinator, orbicularis oris", _LOWER, True,
     "Air escapes through the lips and makes the cheeks swell and flutter."),
    (34, "Cheek puff", "Buccinator, orbicularis oris", _LOWER, True,
     "The cheeks are round and full of air behind a sealed mouth."),
    (35, "Cheek suck", "Buccinator", _LOWER, True,
     "The cheeks are drawn in and look hollow below the cheekbones."),
    (36, "Tongue bulge", "Tongue muscles", _LOWER, False,
     "The tongue presses from inside and raises a lump in a cheek or under a lip."),
    (37, "Lip wipe", "Tongue muscles", _LOWER, False,
     "The tongue passes along the surface of a lip and wets it."),
    (38, "Nostril dilator", "Nasalis, alar part", _LOWER, True,
     "The nostrils flare open and the wings of the nose spread."),
    (39, "Nostril compressor", "Nasalis, transverse part", _LOWER, True,
     "The wings of the nose press inwards, making the nostrils narrow slits."),
    (40, "Sniff", "Breathing muscles", _LOWER, False,
     "A short breath through the nose tugs its wings inwards for a moment."),
    (43, "Eyes closed", "Relaxed levator palpebrae superioris", _UPPER, True,
     "The upper eyelids rest on the lower ones and cover the eyes for a while."),
    (45, "Blink", "Levator palpebrae superioris, orbicularis oculi", _UPPER, True,
     "Both eyes shut and open again within a fraction of a second."),
    (46, "Wink", "Orbicularis oculi", _UPPER, True,
     "One eye shuts briefly on purpose while the other stays open."),
    (51, "Head turn left", "Neck muscles", _HEAD, False,
     "The head rotates so that the nose points towards the person's left shoulder."),
    (52, "Head turn right", "Neck muscles", _HEAD, False,
     "The head rotates so that the nose points towards the person's right shoulder."),
    (53, "Head up", "Neck muscles", _HEAD, False,
     "The head tips back, lifting the chin and showing the underside of the jaw."),
    (54, "Head down", "Neck muscles", _HEAD, False,
     "The head nods forward, bringing the chin to the chest and the crown into view."),
    (55, "Head tilt left", "Neck muscles", _HEAD, False,
     "The head leans sideways, with the person's left ear nearer to the left "
     "shoulder."),
    (56, "Head tilt right", "Neck muscles", _HEAD, False,
     "The head leans sideways, with the person's right ear nearer to the right "
     "shoulder."),
    (57, "Head forward", "Neck muscles", _HEAD, False,
     "The whole head is pushed towards the viewer and the neck stretches out."),
    (58, "Head back", "Neck muscles", _HEAD, False,
     "The whole head is withdrawn over the shoulders, folding the skin below the "
     "chin."),
    (61, "Eyes turn left", "Eye muscles", _GAZE, False,
     "Both irises move towards the person's left side."),
    (62, "Eyes turn right", "Eye muscles", _GAZE, False,
     "Both irises move towards the person's right side."),
    (63, "Eyes up", "Eye muscles", _GAZE, False,
     "Both irises move up and disappear partly under the upper lids."),
    (64, "Eyes down", "Eye muscles", _GAZE, False,
     "Both irises move down and the upper lids follow them halfway."),
    (65, "Walleye", "Eye muscles", _GAZE, False,
     "The irises point away from each other, each towards its own temple."),
    (66, "Cross-eye", "Eye muscles", _GAZE, False,
     "Both irises point inwards to the nose."),
)  # fmt: skip

# The same, with words for how strong each change is, of the AUs that were described so
# for SEV-Net (Yang et al., 2021). Words and strengths are ours, too.
WITH_INTENSITY = {
    1: "The inner ends of the eyebrows lift slightly, and faint short wrinkles appear "
       "in the middle of the forehead.",
    2: "The outer thirds of the eyebrows rise strongly into an arch, which markedly "
       "folds the skin above them and uncovers much more of the upper eyelids.",
    4: "The eyebrows sink a little and move slightly towards each other, with clearly "
       "visible upright furrows between them.",
    6: "The cheeks push up noticeably under the eyes, slight pouches form below the "
       "lower lids, and fine lines fan out far from the outer eye corners.",
    7: "The lower eyelids tense markedly, straighten a little and rise, leaving a "
       "strongly narrowed opening as in a squint.",
    9: "The bridge of the nose crinkles severely and the nostril wings are drawn far "
       "upwards, while the middle of the upper lip rises slightly.",
    10: "The upper lip lifts strongly in its middle and less at its sides, and the "
        "creases running down beside the nose bend and deepen markedly.",
    12: "The corners of the mouth slant markedly up and out towards the cheekbones as "
        "in a broad smile, and the creases beside the nose deepen slightly.",
    14: "The mouth corners tuck inwards with extreme force against the teeth and leave "
        "a severe pit or fold beside them.",
    15: "The mouth corners turn down slightly, and small but distinct pouches gather "
        "below them.",
    17: "The chin pad moves up severely and turns extremely bumpy, pushing the lower "
        "lip markedly out and upwards.",
    23: "The lips become as tense and thin as possible and their red edges roll "
        "extremely far inwards, without being squeezed together.",
    24: "The closed lips are squeezed severely against each other, with strongly "
        "bulging skin above and below their much thinned line.",
    25: "A slight gap opens between the lips and may barely show the teeth, while the "
        "jaw stays fully up.",
    26: "The jaw hangs as slack as possible, so that the teeth separate clearly and "
        "the face grows a little longer.",
}  # fmt: skip

# A rule is a tuple of centres; a centre is (landmarks to average, dy in units of R).
_LIP_CORNERS = (((48,), 0.0), ((54,), 0.0))
_LIP_CENTRES = (((51,), 0.0), ((57,), 0.0))
_INNER_LIPS = (((62,), 0.0), ((66,), 0.0))
_UPPER_LIP_INSIDE = (((61,), 0.0), ((63,), 0.0))
_CHIN = (((56,), 1 / 2), ((58,), 1 / 2))
_NOSTRILS = (((31,), 0.0), ((35,), 0.0))
_EYES = (((37, 40), 0.0), ((44, 47), 0.0))
_CHEEKS = (((4, 48), 0.0), ((12, 54), 0.0))
_JAW = (((8, 57), 0.0),)

_JAA_AND_EAC = {
    1: (((21,), -1 / 2), ((22,), -1 / 2)),
    2: (((18,), -1 / 3), ((25,), -1 / 3)),
    4: (((19,), 1 / 3), ((24,), 1 / 3)),
    6: (((41,), 1.0), ((46,), 1.0)),
    7: (((38,), 0.0), ((43,), 0.0)),
    12: _LIP_CORNERS,
    14: _LIP_CORNERS,
    15: _LIP_CORNERS,
    17: _CHIN,
}

# No paper places these. They follow the muscle, next to a landmark that the 49- and
# 66-point layouts also have, except where only the jaw line is near.
OURS = {
    5: (((37, 38), 0.0), ((43, 44), 0.0)),
    8: _LIP_CENTRES,
    11: (((31, 48), 0.0), ((35, 54), 0.0)),
    13: (((48,), -1 / 3), ((54,), -1 / 3)),
    16: (((56,), 0.0), ((58,), 0.0)),
    18: _LIP_CENTRES,
    19: _INNER_LIPS,
    20: _LIP_CORNERS,
    22: _LIP_CENTRES,
    27: _CHIN,
    28: _INNER_LIPS,
    29: _JAW,
    30: _JAW,
    31: (((4,), -1 / 3), ((12,), -1 / 3)),
    32: _INNER_LIPS,
    33: _CHEEKS,
    34: _CHEEKS,
    35: _CHEEKS,
    36: _CHEEKS,
    37: _LIP_CENTRES,
    38: _NOSTRILS,
    39: _NOSTRILS,
    43: _EYES,
    45: _EYES,
    46: _EYES,
}

CONVENTIONS = {
    "jaa": {
        **_JAA_AND_EAC,
        9: (((32,), -1 / 2), ((34,), -1 / 2)),
        10: _UPPER_LIP_INSIDE,
        23: _LIP_CENTRES,
        24: _LIP_CENTRES,
        25: _LIP_CENTRES,
        26: _CHIN,
        **OURS,
    },
    "eac": {
        **_JAA_AND_EAC,
        10: (((49,), 0.0), ((53,), 0.0)),
        23: _UPPER_LIP_INSIDE,
        24: _UPPER_LIP_INSIDE,
    },
    "aunet": {
        1: (((21,), -1 / 2), ((22,), -1 / 2)),
        2: (((17,), -1 / 3), ((26,), -1 / 3)),
        4: (((21, 22), 1 / 3),),
        6: (((2, 41), 0.0), ((14, 46), 0.0)),
        7: (((38,), 0.0), ((43,), 0.0)),
        9: (((39,), 1 / 2), ((42,), 1 / 2)),
        10: (((50,), 0.0), ((52,), 0.0)),
        12: _LIP_CORNERS,
        14: _LIP_CORNERS,
        15: _LIP_CORNERS,
        17: _CHIN,
        23: _LIP_CENTRES,
        24: _LIP_CENTRES,
        25: _LIP_CENTRES,
        26: _CHIN,
    },
}

# Vertex of MediaPipe's face mesh at the place of each of the 68 points; the vertices of
# the irises come after all of these. The inner 51 are corresponding places; the jaw
# (first 17) is the mesh's silhouette, which turns with the head instead of following
# the visible contour.
# fmt: off
MESH_TO_68 = (
    127, 234, 93, 132, 138, 136, 150, 176, 152, 400, 379, 365, 367, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14,
    87,
)

# Points of WFLW of which one, or a mixture of two, is each of the 68, after Jin et al.
WFLW_TO_68 = (
    *range(0, 33, 2),
    *range(33, 38), *range(42, 47),
    *range(51, 60),
    60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75,
    *range(76, 96),
)
# The upper edge of a brow with the lower one, two points of a lid with its middle.
WFLW_MIXED = {
    34: 41, 35: 40, 36: 39, 37: 38, 42: 50, 43: 49, 44: 48, 45: 47,
    61: 62, 63: 62, 65: 66, 67: 66, 69: 70, 71: 70, 73: 74, 75: 74,
}
# fmt: on
