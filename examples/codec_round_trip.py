"""A recording through a neural codec and back: what is lost at how many tokens a second. Writes again.wav.

    python examples/codec_round_trip.py facebook/encodec_24khz voice.wav

The codec is an EnCodec, a DAC or a model that holds one, as a folder, a file or a hub id.
"""

import argparse

import torch

from clavilux.audio.clip import Audio
from clavilux.audio.codecs.encode_clip import encode_clip
from clavilux.audio.codecs.load import load_codec
from clavilux.checkpoint import folder_of

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("codec", help="a folder, a file or a hub id")
parser.add_argument("file", help="wav, flac, ogg or mp3")
options = parser.parse_args()

codec, clip = load_codec(folder_of(options.codec)), Audio.load(options.file)
with torch.inference_mode():
    tokens = encode_clip(codec, clip).tokens  # int64 [1, K, T]
    again = codec.decode(tokens)[0]  # float32 [C, N]
rate = codec.codebooks * codec.frame_rate
print(f"{clip.duration_s:.2f} s became {tokens.numel()} tokens, {rate:g} a second")
Audio(again, codec.sample_rate).save("again.wav", loudness=False)
print("wrote again.wav")
