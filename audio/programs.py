"""General MIDI: what its programs and drum keys are called, and what can stand in for what.

Knows the 128 programs of the General MIDI standard. Knows no files and no sound.
"""

from __future__ import annotations

_NAMES = """
acoustic grand piano; bright acoustic piano; electric grand piano; honky-tonk piano; electric piano 1;
electric piano 2; harpsichord; clavinet; celesta; glockenspiel; music box; vibraphone; marimba; xylophone;
tubular bells; dulcimer; drawbar organ; percussive organ; rock organ; church organ; reed organ; accordion;
harmonica; tango accordion; nylon guitar; steel guitar; jazz guitar; clean guitar; muted guitar;
overdriven guitar; distortion guitar; guitar harmonics; acoustic bass; fingered bass; picked bass;
fretless bass; slap bass 1; slap bass 2; synth bass 1; synth bass 2; violin; viola; cello; contrabass;
tremolo strings; pizzicato strings; harp; timpani; string ensemble 1; string ensemble 2; synth strings 1;
synth strings 2; choir aahs; voice oohs; synth voice; orchestra hit; trumpet; trombone; tuba; muted
trumpet; French horn; brass section; synth brass 1; synth brass 2; soprano saxophone; alto saxophone;
tenor saxophone; baritone saxophone; oboe; English horn; bassoon; clarinet; piccolo; flute; recorder; pan
flute; blown bottle; shakuhachi; whistle; ocarina; square lead; sawtooth lead; calliope lead; chiff lead;
charang lead; voice lead; fifths lead; bass and lead; new age pad; warm pad; polysynth pad; choir pad;
bowed pad; metallic pad; halo pad; sweep pad; rain; soundtrack; crystal; atmosphere; brightness; goblins;
echoes; sci-fi; sitar; banjo; shamisen; koto; kalimba; bagpipe; fiddle; shanai; tinkle bell; agogo; steel
drums; woodblock; taiko drum; melodic tom; synth drum; reverse cymbal; guitar fret noise; breath noise;
seashore; bird tweet; telephone ring; helicopter; applause; gunshot
"""
PROGRAM_NAMES = tuple(name.strip() for name in " ".join(_NAMES.split()).split(";"))


def program_name(program: int) -> str:
    """The General MIDI name of a program (0..127), in lower case: 19 is "church organ"."""
    return PROGRAM_NAMES[program]


def _kin() -> dict[int, tuple[int, ...]]:
    """For each General MIDI program the programs that can stand in for it, nearest first."""
    families = [
        ((0, 1, 2, 3), (0,)), ((4, 5), (4, 5, 11, 0)), ((6, 7), (6, 0)), ((8, 9, 10, 14, 15), (8, 10, 11)),
        ((112, 98, 113), (8, 14)), ((11, 92), (11, 8)), ((12, 13, 108, 114, 115), (12, 11)),
        ((16, 17, 18), (16, 19)), ((19,), (16,)), ((20,), (19, 16)), ((21, 23), (21, 20, 16)),
        ((22,), (21, 20)),
        ((24, 25, 26, 27, 28, 31, 120), (24,)), ((29, 30, 84), (24,)), ((105, 104, 106, 107), (105, 24)),
        (tuple(range(32, 40)), (32, 43, 42)), ((87,), (32,)),
        ((40, 110), (40,)), ((41,), (40,)), ((42,), (41,)),
        ((43,), (42,)), ((44,), (48,)), ((45,), (24, 46)), ((46,), (24,)), ((47, 116, 117, 118), (47,)),
        ((48, 49, 50, 51), (48,)), ((52, 53, 54, 85, 91, 94), (52, 48)), ((55,), (48,)), ((56, 59), (56,)),
        ((57,), (56,)), ((58,), (57,)), ((60,), (57,)), ((61, 62, 63), (56,)),
        ((64, 65), (65, 71)), ((66, 67), (65, 71)), ((68, 111), (68, 71)), ((69, 109), (68,)), ((70,), (71,)),
        ((71,), (68,)), ((72, 73), (73,)), ((74, 79), (74, 73)), ((75, 76, 77), (75, 73)), ((78,), (72, 73)),
        ((80, 82, 83), (16,)), ((81, 86, 90), (48,)), ((88, 89, 93, 95, 97), (48,)),
        ((96, 99, 100, 101, 102, 103), (8,)),
        ((119, *range(121, 128)), (0,)),
    ]  # fmt: skip
    return {program: kin for programs, kin in families for program in programs}


KIN = _kin()

# Drums of General MIDI that the bundled kit lacks, and what plays instead.
DRUM_KEYS = {
    27: 37, 28: 37, 29: 37, 30: 37, 31: 37, 32: 37, 33: 76, 34: 80, 52: 49, 53: 51, 57: 49, 58: 39, 59: 51,
    65: 50, 66: 47, 67: 56, 68: 56, 71: 80, 72: 80, 73: 69, 74: 69, 78: 63, 79: 64, 84: 83, 86: 41, 87: 41,
}  # fmt: skip
