"""Scores one song under several prompts, in nats a token, the likeliest first; all of it goes to the screen.

python examples/which_prompt_fits.py "slow church organ chorale in G minor"
"""

import argparse

import clavilux

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument(
    "prompt", nargs="?", default="slow church organ chorale in G minor", help="the song is made from it"
)
parser.add_argument("--others", nargs="+", default=["lively irish jig on fiddle", "ragtime piano in G minor"])
parser.add_argument("--seconds", type=float, default=10.0)
parser.add_argument("--seed", type=int, default=7)
options = parser.parse_args()

model = clavilux.load("aria")
said = {"seconds": options.seconds, "seed": options.seed}
song = model.generate(options.prompt, **said)

logits = model.logits(song.tokens, prompt=options.prompt, **said)  # [K, T, V]
right = (logits.argmax(-1) == song.tokens).float().mean()
print(f"{song.tokens.shape[1]} tokens; the likeliest one was taken for {right:.0%} of them")

prompts = [options.prompt, *options.others]
scores = {prompt: float(model.score(song.tokens, prompt=prompt, **said).mean()) for prompt in prompts}
for prompt in sorted(scores, key=scores.get, reverse=True):
    print(f"{scores[prompt]:7.3f} nats a token  {prompt}")
