"""aria: the bundled musician. Its composer writes a score token by token; the score codec plays it.

Knows the checkpoint's files and how controls become a prefix, a grammar and a player. A second stage, a
neural player over codec tokens, will stand after the composer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clavilux.audio.clip import Audio
from clavilux.audio.codecs import Codec
from clavilux.audio.codecs.score import ScoreCodec, ScorePlayer
from clavilux.audio.midi_tracks import plural
from clavilux.audio.score import Score
from clavilux.audio.soundfont import SoundFont
from clavilux.checks import short
from clavilux.conditioning import Conditioning
from clavilux.decoder import Decoder, DecoderSpec
from clavilux.errors import CheckpointError
from clavilux.families.aria import bands
from clavilux.families.aria.account import Settled, kept, unknown_words
from clavilux.families.aria.continuation import (
    Continuation,
    read_continuation,
    recording_samples,
    score_to_encode,
    written,
)
from clavilux.families.aria.controls import ACCEPTS, with_density
from clavilux.families.aria.form import moved, writers
from clavilux.families.aria.formats import Task, TokenFormat, format_of
from clavilux.families.aria.melody_song import MelodySong, check_melody
from clavilux.families.aria.outline import Settlement, outline_of, settled
from clavilux.families.aria.parts import cast_of
from clavilux.families.aria.prefix import (
    MODES,
    PREFIX_LENGTH,
    PrefixConditioner,
    PrefixControls,
    shift_to_c,
    style_index,
    tempo_bin,
)
from clavilux.families.aria.prompt import ParsedPrompt
from clavilux.families.aria.refusal import check_request
from clavilux.families.aria.rewriting import OPTIONS as REWRITING
from clavilux.families.aria.rewriting import Rewriting, check_rewriting
from clavilux.families.aria.tunes import kind_of, taught_tempo, tune_of
from clavilux.families.aria.upbeats import upbeat_of
from clavilux.families.configs import describing, section
from clavilux.families.model_card import size_bytes
from clavilux.families.tensors import count_elements, read_weights
from clavilux.family import Request, Stage
from clavilux.files import PathLike, sha256_of
from clavilux.marking import MarkedTokens
from clavilux.precision import BYTES, held_bytes, prepare, usual
from clavilux.sampling import Grammar
from clavilux.skeleton import skeletons
from clavilux.windows import Windows

_SOUND_BYTES = 8  # a sample that is kept while a song is put together: its pieces and the whole
CPU = torch.device("cpu")


class Composer(nn.Module):
    """The decoder and its prefix: the two parts of the checkpoint."""

    def __init__(self, spec: DecoderSpec, num_styles: int) -> None:
        super().__init__()
        self.decoder = Decoder(spec)
        self.conditioner = PrefixConditioner(num_styles, spec.width)


def load(folder: Path, config: Mapping[str, Any], device: torch.device, dtype: str) -> Aria:
    """Read `config.json` and `model.safetensors`. CheckpointError for what is missing, extra or misshapen."""
    with describing(repr(str(folder / "config.json")), "composer"):
        writing = format_of(config)
        spec, styles = DecoderSpec.from_dict(section(config, "decoder")), _styles(config["styles"])
    layout = writing.layout
    ids = layout.vocabulary + (layout.special is not None)
    if (spec.codebooks, spec.vocabulary, spec.num_outputs) != (layout.codebooks, ids, layout.vocabulary):
        raise CheckpointError(
            f"{str(folder / 'config.json')!r} gives the decoder {plural(spec.codebooks, 'codebook')} of "
            f"{spec.vocabulary} ids, {spec.num_outputs} of them drawn; the score vocabulary that it names has "
            f"{layout.codebooks} of {ids}, {layout.vocabulary} of them drawn"
        )
    with skeletons():
        composer = Composer(spec, len(styles))
    path = folder / "model.safetensors"
    weights = read_weights(path, {name: tuple(p.shape) for name, p in composer.named_parameters()})
    composer.load_state_dict({name: tensor.float() for name, tensor in weights.items()}, strict=True, assign=True)
    composer.decoder.make_tables()
    settled = prepare(composer, composer.decoder, device, dtype)
    identity = {"model": config.get("name", folder.name), "model_sha256": sha256_of(path)[:16], **settled}
    return Aria(composer, writing, styles, identity)


def _styles(names: Any) -> tuple[str, ...]:
    """The styles that were learned, in the order of their table. ValueError for what is no list of their names."""
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError(f"styles is {short(names)}; it should be a list of names")
    return tuple(names)


def accepts_of(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """The controls that the model takes."""
    return ACCEPTS


def check_controls(folder: Path, config: Mapping[str, Any], prompt: str, controls: dict[str, Any]) -> None:
    """Refuse what a render would refuse of this prompt and these controls. ValueError, TypeError as `resolve`."""
    controls = dict(controls)
    if check_rewriting(controls):
        controls = {name: value for name, value in controls.items() if name not in REWRITING}
    SoundFont.given(controls.pop("soundfont", None))
    parsed = check_request(prompt, controls)
    controls.pop("anything", None)
    if controls.get("melody") is not None:
        check_melody(parsed, controls)
    else:
        settled(parsed, 0, controls)


def memory_needed(folder: Path, config: Mapping[str, Any], seconds: float, batch: int = 1, dtype: str = "auto") -> int:
    """About the bytes that a render takes at its peak, loading included; no weights are read. CheckpointError."""
    spec, parameters = _described(folder, config)
    in_cache = held_bytes(dtype if dtype != "auto" else usual(parameters, CPU), CPU)[2]
    cached = 2 * spec.layers * spec.heads * spec.head_dim * spec.max_positions
    sound = round(seconds * ScoreCodec.sample_rate) * 2 * _SOUND_BYTES
    return round(parameters * BYTES.get(dtype, BYTES["auto"])) + batch * (cached * in_cache + sound)


def facts(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What `clavilux info` says; JSON values. Weights are not read, their heads are. Raises CheckpointError."""
    spec, parameters = _described(folder, config)
    return {
        "kind": "checkpoint",
        "family": "aria",
        "parameters": parameters,
        "size_bytes": size_bytes(folder),
        "licence": config.get("licence", "not stated"),
        "context_tokens": spec.max_positions,
        "layers": spec.layers,
        "width": spec.width,
        "dtype": usual(parameters, CPU),
    }


def _described(folder: Path, config: Mapping[str, Any]) -> tuple[DecoderSpec, int]:
    """(the decoder, the parameters of its weights). Raises CheckpointError."""
    with describing(f"the config.json in {str(folder)!r}", "decoder"):
        spec = DecoderSpec.from_dict(section(config, "decoder"))
    elements = count_elements(folder)
    if elements is None:
        raise CheckpointError(f"{str(folder)!r} holds no safetensors file, so its weights are missing")
    return spec, sum(elements.values())


class Aria:
    """The family's side of a loaded model (`clavilux.family.Family`)."""

    name = "aria"
    accepts = ACCEPTS

    def __init__(
        self, composer: Composer, writing: TokenFormat, styles: tuple[str, ...], identity: dict[str, Any]
    ) -> None:
        self.composer, self.writing, self.styles, self.identity = composer, writing, styles, identity
        self.sampling = writing.sampling
        context = composer.decoder.spec.max_positions - PREFIX_LENGTH
        self.windows = Windows(context, context * 3 // 8)
        self.stage: Stage[Codec] = Stage(composer.decoder, writing.layout, self.windows, writing.codec)

    @cached_property
    def marked(self) -> MarkedTokens:
        """The composer's pitches, by their class: an octave is what an editor changes first."""
        return self.writing.marked

    def begin(self, requests: list[Request]) -> Sequence[ScoreGeneration | MelodySong | Rewriting]:
        """A piece for each request; none depends on the others."""
        return [
            self._part(request) if check_rewriting(request.controls) else self.generation(request)
            for request in requests
        ]

    def encode(self, source: Audio | Score | PathLike) -> Tensor:
        """The tokens int64 [K, T] of a score, as `continuation.score_to_encode` reads it."""
        return self.writing.encode(written(score_to_encode(source)))

    def decode(self, tokens: Tensor) -> Audio:
        """Tokens int64 [K, T] as they are played, and as a score. ValueError for what says none."""
        try:
            score = self.writing.decode(tokens)
        except ValueError as error:
            raise ValueError(f"the tokens say no score that could be played: {error}") from None
        samples = self.stage.codec.decode(tokens[None])[0]
        return Audio(samples, ScoreCodec.sample_rate, score=score, tokens=tokens)

    def generation(self, request: Request) -> ScoreGeneration | MelodySong:
        """Read the prompt, settle every control, plan the bars. ValueError where nothing was understood."""
        parsed = check_request(request.prompt, request.controls)
        if "melody" in request.controls:
            return self._around(request, parsed)
        notes: list[str] = []
        given = read_continuation(request.continue_from, notes)
        controls = _options(request, given)
        soundfont = SoundFont.given(controls.pop("soundfont", None))
        settlement = settled(parsed, request.seed, controls)
        tempo_is_free = parsed.tempo is None and "tempo" not in controls and settlement.asked.sheet is None
        if settlement.plan is not None:
            parsed = bands.with_drums(parsed)
        return ScoreGeneration(self, request, parsed, settlement, given, notes, tempo_is_free, soundfont)

    def _around(self, request: Request, parsed: ParsedPrompt) -> MelodySong:
        """A song around a given melody."""
        unconditioned = Conditioning(prefix=self.composer.conditioner([PrefixControls(-1, -1, -1, -1, ())]))
        song = MelodySong(request, parsed, self.writing.layout.codebooks, self.windows, unconditioned)
        parsed = bands.with_drums(parsed)
        given = frozenset((*request.controls, "key", "tempo", "metre"))
        account = Settled(song.controls, song.sheet.tempo, song.num_bars, song.seconds, given)
        asked = replace(request, seconds=song.seconds)
        song.receipt.update(_receipt(self, asked, parsed, account, song.notes, song.soundfont))
        bands.put_account(song.receipt, song.band_plan, song.arranger)
        song.receipt["controls"] |= {
            "form": song.form,
            "melody": song.source_name,
            **({} if song.controls.chords else {"chords": "found"}),
        }
        return song

    def _part(self, request: Request) -> Rewriting:
        parsed = check_request(request.prompt, request.controls)
        return Rewriting(self, request, parsed, SoundFont.given(request.controls.get("soundfont")))


class ScoreGeneration:
    """One piece: what conditions the composer, what it may write, and who plays it (`clavilux.family.Generation`)."""

    def __init__(
        self,
        aria: Aria,
        request: Request,
        parsed: ParsedPrompt,
        settlement: Settlement,
        given: Continuation | None,
        notes: list[str],
        tempo_is_free: bool,
        soundfont: SoundFont | None = None,
    ) -> None:
        controls, plan, asked = settlement
        controls = controls.joined(given.unison) if given is not None else controls
        outline = outline_of(request, parsed, controls, plan, asked, given=given, tempo_is_free=tempo_is_free)
        length, sheet = outline.length, outline.sheet
        request = replace(request, seconds=length.seconds)
        controls = replace(controls, unmet=controls.unmet + length.unmet)
        self._seconds = length.seconds
        shift = shift_to_c(controls.key.tonic)
        self._moved = aria.writing.moved(shift)
        kind = kind_of(parsed, controls.style, controls.metre)
        tune = tune_of(kind, controls.style)
        cast = cast_of(controls.instruments, plan, tune, shift, controls.unison)
        cast = cast if plan is not None or tune is not None else cast.in_voices(controls.style == "chorale", shift)
        parts, tempo = cast.parts, taught_tempo(tune, controls.metre, plan is not None) or length.tempo
        before = written(given.line) if given is not None and given.line is not None else None
        task = Task(
            moved(outline.bars, shift),
            parts,
            [cast.writing(names) for names in writers(outline.bars)],
            tempo,
            cast.programs,
            upbeat_of(None if given or outline.bars[0].rests else kind, controls, length.tempo, parts, request.seed),
        )
        self.grammar: Grammar | None
        self.prompt, self.grammar = aria.writing.begin(task, before, shift, aria.windows.context // 2)
        programs = tuple(part.program for part in parts)
        named = controls.style if plan is None else plan.band.composer
        style = style_index(aria.styles, named, kind, leads=plan is not None, programs=programs)
        self._controls = controls = with_density(controls, parsed, aria.styles[style], request.seed)
        prefix = PrefixControls(
            style=style,
            mode=MODES.index(controls.key.mode),
            tempo=tempo_bin(tempo),
            density=controls.density_index,
            programs=programs,
        )
        self.plan: Tensor | None = None
        self.windows = aria.windows
        self.conditioning = Conditioning(prefix=aria.composer.conditioner([prefix]))
        self.unconditional = Conditioning(prefix=aria.composer.conditioner([PrefixControls(-1, -1, -1, -1, ())]))
        self._recording = recording_samples(given.recording if given is not None else None)
        self._recording_s = given.duration_s if given is not None and given.recording is not None else 0.0
        band = None if plan is None or sheet is None else bands.arranger_of(plan, sheet, request.seed, len(cast.unison))
        self._player = ScorePlayer(
            timeline=outline.timeline(tuple(cast.sounding(bar.players) for bar in outline.bars)),
            duration_s=request.seconds - self._recording_s,
            reader=aria.writing.reader(-shift),
            programs=cast.programs,
            players=cast.players,
            unison=cast.unison,
            before=given.score if given is not None else None,
            soundfont=soundfont,
            band=band,
        )
        account = Settled(controls, length.tempo, length.bars, request.seconds, frozenset(_options(request, given)))
        self.receipt = _receipt(aria, request, parsed, account, notes, soundfont)
        self.receipt["controls"] |= {"form": outline.form} if outline.form else {}
        self.receipt["controls"] |= {"ritardando": True} if outline.ritardando else {}
        if plan is not None and band is not None:
            bands.put_account(self.receipt, plan, band, controls.unison)
        if asked.sheet is not None:
            self.receipt["controls"]["chords"] = "as the sheet has them"
            self.receipt |= {"title": asked.sheet.title} if asked.sheet.title else {}

    @property
    def at_s(self) -> float:
        """Seconds of the piece that are written, the given recording among them."""
        return min(self._seconds, self._recording_s + self._player.at_s)

    def to_decoder(self, tokens: Tensor) -> Tensor:
        """The composer's ids, in C."""
        return self._moved.to_composer(tokens)

    def from_decoder(self, logits: Tensor) -> Tensor:
        """Logits of ids at their sounding pitch."""
        return self._moved.to_sounding(logits)

    def mark_sound(self, word: int) -> None:
        """All that is played carries the mark, a given recording does not."""
        self._player.sound_mark = word

    def push(self, tokens: Tensor) -> Tensor | None:
        """Take a step's tokens, int64 [K]; the samples of a finished bar, after the given recording."""
        samples = self._player.push(tokens)
        return None if samples is None else self._after_recording(samples)

    def finish(self) -> Tensor:
        """The rest of the samples."""
        return self._after_recording(self._player.finish())

    def complete(self, samples: Tensor) -> Audio:
        """The piece with its score, its tokens (at their sounding pitch) and its receipt."""
        total = round(self._seconds * ScoreCodec.sample_rate)
        return Audio(
            samples[:, :total],
            ScoreCodec.sample_rate,
            score=self._player.score(self._controls.key),
            tokens=self._player.drawn,
            receipt=self.receipt,
            performance=None if self._recording_s else self._player.performance(),
        )

    def _after_recording(self, samples: Tensor) -> Tensor:
        if self._recording is None:
            return samples
        recording, self._recording = self._recording, None
        return torch.cat([recording, samples], dim=1)


def _options(request: Request, given: Continuation | None) -> dict[str, Any]:
    """The controls that options or the given music settle."""
    asked = {name: value for name, value in request.controls.items() if name != "anything"}
    return (given.controls() if given is not None else {}) | asked


def _receipt(
    aria: Aria, request: Request, parsed: ParsedPrompt, settled: Settled, notes: list[str], font: SoundFont | None
) -> dict[str, Any]:
    controls, chords = settled.controls, settled.controls.chords
    taken, unmet = kept(parsed.taken, parsed.claimed, settled)
    return {
        **aria.identity,
        "prompt": request.prompt[:500],
        "seconds": request.seconds,
        "seed": request.seed,
        "unknown": unknown_words(parsed),
        "unmet": [*parsed.unmet, *controls.unmet, *unmet],
        "taken": taken,
        "controls": {
            "style": controls.style,
            "instruments": list(controls.instruments),
            "key": str(controls.key),
            "tempo": settled.tempo,
            "metre": f"{controls.metre[0]}/{controls.metre[1]}",
            "bars": settled.num_bars,
            "density": controls.density,
            "section": controls.section,
            **({"anything": True} if request.controls.get("anything") else {}),
            **({"soundfont": font.path.name} if font is not None else {}),
            "chords": "drawn" if chords is None else " | ".join(" ".join(map(str, bar)) or "N.C." for bar in chords),
        },
        "notes": notes,
    }
