"""One player renders MIDI files in a process of its own: `python soundfont_render.py PLAYER JOBS`.

JOBS is JSON, a list of [SoundFont, MIDI file, seconds, output.npy]. `soundfont_players.py` runs it with the Python of
the environment that has the player, so nothing of this package is imported but for "clavilux". Prints JSON, for
each job: CPU seconds of the process until the first sample could be asked for, CPU seconds of rendering, and the
largest memory of the process in bytes.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

RATE, BLOCK = 44100, 4096


def clavilux(soundfont: str, midi: str, seconds: float):
    from clavilux.audio.score import Score
    from clavilux.audio.synth import SoundFont, render_score

    font = SoundFont.bundled() if soundfont == str(SoundFont.bundled().path) else SoundFont(soundfont)
    yield
    yield render_score(Score.from_midi(midi), RATE, seconds, font).numpy()


def tinysoundfont(soundfont: str, midi: str, seconds: float):
    import tinysoundfont

    synth = tinysoundfont.Synth(gain=-12, samplerate=RATE)
    synth.sfload(soundfont)
    synth.program_change(9, 0, True)  # its own player of MIDI files waits for a program change
    sequencer = tinysoundfont.Sequencer(synth)
    yield
    sequencer.midi_load(midi, persistent=False)
    pieces = [bytes(synth.generate(BLOCK)) for _ in range(-(-round(seconds * RATE) // BLOCK))]
    yield np.frombuffer(b"".join(pieces), np.float32).reshape(-1, 2).T


def fluidsynth(soundfont: str, midi: str, seconds: float):
    import ctypes

    import fluidsynth

    write = fluidsynth.cfunc(
        "fluid_synth_write_float", ctypes.c_int,
        *((name, kind, 1) for name, kind in (
            ("synth", ctypes.c_void_p), ("len", ctypes.c_int), ("lout", ctypes.c_void_p), ("loff", ctypes.c_int),
            ("lincr", ctypes.c_int), ("rout", ctypes.c_void_p), ("roff", ctypes.c_int), ("rincr", ctypes.c_int),
        )),
    )  # fmt: skip
    synth = fluidsynth.Synth(gain=0.2, samplerate=RATE, channels=16, **{"player.timing-source": "sample"})
    synth.sfload(soundfont, update_midi_preset=1)
    yield
    synth.play_midi_file(midi)
    count = -(-round(seconds * RATE) // BLOCK) * BLOCK
    out = np.zeros((count, 2), np.float32)
    for at in range(0, count, BLOCK):
        place = out[at:].ctypes.data
        write(synth.synth, BLOCK, place, 0, 2, place, 1, 2)
    yield out.T


PLAYERS = {"clavilux": clavilux, "tinysoundfont": tinysoundfont, "fluidsynth": fluidsynth}


def rendered(player: str, soundfont: str, midi: str, seconds: float, output: str) -> dict[str, float]:
    """Write a sound, float32 [2, N], as .npy; what it took."""
    run = PLAYERS[player](soundfont, midi, seconds)
    next(run)
    ready = time.process_time()
    sound = next(run)[:, : round(seconds * RATE)]
    took = time.process_time() - ready
    np.save(output, sound)
    # Of this program alone: getrusage begins with what the process that started it had.
    lines = Path("/proc/self/status").read_text().splitlines()
    memory = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return {"ready_s": ready, "render_s": took, "memory_bytes": memory}


if __name__ == "__main__":
    _, player, jobs = sys.argv
    print(json.dumps([rendered(player, *job) for job in json.loads(jobs)]))
