"""MIDI files as the world has them, built byte by byte: what programs write, and what crashes leave behind."""

import struct


def file(*chunks, form=1, division=480, promised=None, header=b""):
    """A MIDI file; `header` is what a longer MThd holds behind its six bytes."""
    head = struct.pack(">HHH", form, len(chunks) if promised is None else promised, division) + header
    return b"MThd" + struct.pack(">I", len(head)) + head + b"".join(chunks)


def chunk(data, name=b"MTrk", size=None):
    return name + struct.pack(">I", len(data) if size is None else size) + data


def track(*events, end=b"\x00\xff\x2f\x00"):
    return chunk(b"".join(events) + end)


def variable(value):
    out = [value & 127]
    while value := value >> 7:
        out.append(value & 127 | 128)
    return bytes(reversed(out))


def after(ticks, *data):
    """An event so many ticks behind the one before."""
    return variable(ticks) + bytes(data)


def note(pitch, ticks=480, channel=0, velocity=80):
    """A note that begins at once; the next event follows its release."""
    return after(0, 0x90 | channel, pitch, velocity) + after(ticks, 0x80 | channel, pitch, 0)


def tune(channel=0):
    """Five quarters."""
    return b"".join(note(pitch, channel=channel) for pitch in (60, 62, 64, 65, 67))


def control(number, value, ticks=0, channel=0):
    return after(ticks, 0xB0 | channel, number, value)


def text(kind, words, ticks=0):
    return after(ticks, 0xFF, kind) + variable(len(words)) + words.encode()


def riff(data, form=b"RMID"):
    body = form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


_SYSEX = after(0, 0xF0, 5, 0x7E, 0x7F, 9, 1, 0xF7)
_PLAIN = track(tune())
_TWO = file(_PLAIN, track(after(0, 0xC1, 48), tune(1)))

# name -> (bytes, notes that are kept, a part of what is said or "")
READ = {
    "plain": (_TWO, 10, ""),
    "running-status-behind-sysex": (
        file(track(after(0, 0x90, 60, 80), _SYSEX, after(480, 60, 0), after(0, 62, 80), after(480, 62, 0))),
        2, "",
    ),
    "running-status-behind-meta": (
        file(track(after(0, 0x90, 60, 80), text(1, "la"), after(480, 60, 0), after(0, 62, 80), after(480, 62, 0))),
        2, "",
    ),
    "one-tick": (
        file(_PLAIN, track(*(note(36, 0, 9) + text(1, "", 480) for _ in range(4)))), 9, "4 notes",
    ),
    "never-released": (
        file(track(after(0, 0x90, 60, 80), after(0, 0x90, 64, 80), text(1, "end", 1920))), 2, "never released",
    ),
    "one-release-for-three": (
        file(track(*(after(480 * bool(i), 0x90, 60, 80) for i in range(3)), after(480, 0x80, 60, 0), tune())), 8,
        "without a release, so they end where their pitch is struck again: 2 notes",
    ),
    "all-notes-off": (file(track(after(0, 0x90, 60, 80), control(123, 0, 480), text(1, "end", 4800))), 1, ""),
    "riff": (riff(_TWO), 10, ""),
    "long-header": (file(_PLAIN, header=b"\0\1\2\3"), 5, ""),
    "sequences": (file(_PLAIN, _PLAIN, form=2), 10, "format 2"),
    "format-7": (file(_PLAIN, form=7), 5, "format 7"),
    "more-tracks-promised": (file(_PLAIN, _PLAIN, promised=5), 10, "header promises 5 tracks, 2 can be read"),
    "fewer-tracks-promised": (file(_PLAIN, _PLAIN, promised=1), 10, ""),
    "foreign-chunk": (file(_PLAIN, chunk(b"lorem", b"XFIH"), _PLAIN, promised=2), 10, "a chunk 'XFIH' of 5 bytes"),
    "junk-between-tracks": (file(_PLAIN, b"\xfe\xff" * 30, _PLAIN, promised=2), 10, "60 bytes that are no chunk"),
    "junk-before-header": (b"\0" * 128 + _TWO, 10, "128 bytes before its header"),
    "padding-behind": (_TWO + b"\0" * 512, 10, ""),
    "text-behind": (_TWO + b"downloaded from somewhere", 10, "25 bytes"),
    "no-end-of-track": (file(track(tune(), end=b"")), 5, ""),
    "bytes-behind-end-of-track": (file(chunk(_PLAIN[8:] + tune())), 5, "behind its end"),
    "cut-inside-a-track": (_TWO[:-25], 8, "cut off: track 2 promises"),
    "cut-between-tracks": (_TWO[: _TWO.rindex(b"MTrk")], 5, "promises 2 tracks, 1 can be read"),
    "length-left-at-0": (file(chunk(_PLAIN[8:], size=0), _PLAIN), 10, "gives itself no length"),
    "length-beyond-the-end": (file(chunk(_PLAIN[8:], size=0xFFFFFFFF)), 5, "cut off"),
    "data-above-127": (file(track(tune(), after(0, 0x90, 200, 80), after(0, 0x90, 60, 255), tune())), 10, "above 127"),
    "no-status": (file(_PLAIN, track(after(0, 60, 80), tune())), 5, "an event has no status"),
    "realtime-in-a-file": (file(track(tune(), after(0, 0xF8), tune())), 10, ""),
    "tempo-0": (file(track(after(0, 0xFF, 0x51, 3, 0, 0, 0), tune())), 5, "1 tempo event of no tempo"),
    "metre-0": (file(track(after(0, 0xFF, 0x58, 4, 0, 2, 24, 8), tune())), 5, "1 metre that cannot be played"),
    "time-code-25": (file(_PLAIN, division=0xE728), 5, "25 frames a second and 40 ticks"),
    "time-code-29": (file(_PLAIN, division=0xE350), 5, "29 frames a second and 80 ticks"),
    "silence-behind": (file(track(tune(), text(1, "end", 480 * 1200))), 5, ""),
    "program-on-another-track": (file(track(after(0, 0xC3, 40)), track(tune(3))), 5, ""),
    "aftertouch": (file(track(after(0, 0xD0, 90), control(1, 90), tune())), 5, "not played: aftertouch, modulation"),
}  # fmt: skip

# name -> (bytes, a part of the one sentence)
REFUSED = {
    "empty": (b"", "is empty"),
    "text": (b"this is not music, it only says so", "does not begin with MThd"),
    "riff-of-sound": (riff(_TWO, b"WAVE"), "does not begin with MThd"),
    "half-a-header": (_TWO[:11], "11 of 14 bytes"),
    "header-alone": (_TWO[:14], "without notes"),
    "no-notes": (file(track()), "without notes"),
    "division-0": (file(_PLAIN, division=0), "0 ticks in a quarter"),
    "time-code-of-100-frames": (file(_PLAIN, division=0x9C10), "100 frames a second"),
    "time-code-of-no-ticks": (file(_PLAIN, division=0xE700), "0 ticks a frame"),
    "far-note": (file(track(tune(), after((1 << 28) - 1, 0x90, 60, 80), after(480, 0x80, 60, 0))), "lasts 77.7 hours"),
    "far-note-of-one-tick-quarters": (
        file(track(*(after((1 << 28) - 1, 0x90, 60, 80) for _ in range(9)), after(1, 0x80, 60, 0)), division=1),
        "quarters are read",
    ),
    "slow-note": (file(track(after(0, 0xFF, 0x51, 3, 255, 255, 255), note(60, 480 * 9000))), "at most 24 hours"),
}  # fmt: skip
