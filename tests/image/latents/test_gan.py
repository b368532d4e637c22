"""The two networks: styles by layer, normalized weights against a convolution each, classes, sizes that are refused."""

import pytest
import torch
import torch.nn.functional as F

from clavilux.image.latents.gan import Discriminator, DiscriminatorSpec, Generator, GeneratorSpec, StyledConv

SMALL = {"channels": 3, "towers": (8, 6, 4), "blocks": (1, 2, 1)}


def networks(**more):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        generator = Generator(GeneratorSpec(**SMALL, noise=5, width=7, **more))
        return generator, Discriminator(DiscriminatorSpec(**SMALL, features=9, **more))


def noise(count, width=5, seed=1):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_shapes_and_a_style_a_layer():
    generator, discriminator = networks()
    assert (generator.spec.layers, generator.spec.size) == (5, 32)
    styles = generator.styles(noise(4))
    assert styles.shape == (4, 5, 7)
    made = generator(styles)
    assert made.shape == (4, 3, 32, 32) and discriminator(made).shape == (4,)
    assert made.std() > 0.3  # a new generator's samples are about of unit size


def test_a_layers_style_reaches_its_own_layer_and_what_follows():
    generator, _ = networks()
    styles = generator.styles(noise(1))
    outputs, handles = {}, []
    for layer, block in enumerate(generator.blocks):
        handles.append(block.register_forward_hook(lambda m, i, o, layer=layer: outputs.__setitem__(layer, o)))
    plain = generator(styles)
    before = dict(outputs)
    for changed in range(generator.spec.layers):
        other = styles.clone()
        other[:, changed] += 1
        assert not torch.equal(generator(other), plain)
        same = [torch.equal(outputs[layer], before[layer]) for layer in range(len(generator.blocks))]
        assert same == [layer < changed for layer in range(len(generator.blocks))]
    for handle in handles:
        handle.remove()


def test_a_styled_convolution_is_one_by_normalized_weights_of_each_sample():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        conv = StyledConv(6, 4, 3, 5).double()
        x, style = torch.randn(3, 6, 8, 8).double(), torch.randn(3, 5).double()
        conv.bias.data.normal_()
    found = conv(x, style)
    for number in range(3):
        factors = conv.factors.weight @ style[number] + conv.factors.bias
        weight = conv.weight * factors[None, :, None, None]
        weight = weight / (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
        wanted = F.conv2d(x[number : number + 1], weight, conv.bias, padding=1)
        assert (found[number] - wanted[0]).abs().max() < 1e-12


def test_samples_and_logits_do_not_depend_on_the_batch():
    generator, discriminator = (network.double() for network in networks())
    styles = generator.styles(noise(5).double())
    made = generator(styles)
    logits = discriminator(made)
    for number in range(5):
        alone = generator(styles[number : number + 1])
        assert (alone[0] - made[number]).abs().max() < 1e-12
        assert (discriminator(alone)[0] - logits[number]).abs() < 1e-12


def test_classes_change_what_is_made_and_how_it_is_judged():
    generator, discriminator = networks(classes=3)
    z = noise(1).expand(3, -1)
    made = generator(generator.styles(z, torch.arange(3)))
    assert not torch.equal(made[0], made[1])
    logits = discriminator(made[:1].expand(3, -1, -1, -1), torch.arange(3))
    assert len(set(logits.tolist())) == 3
    with pytest.raises(ValueError, match="classes is missing; each picture should have one of 0 to 2"):
        generator.styles(z)
    with pytest.raises(ValueError, match="classes is missing; each sample should have one of 0 to 2"):
        discriminator(made)


def test_truncation_draws_styles_to_their_mean():
    generator, _ = networks(classes=2)
    generator.settle()
    z, classes = noise(6), torch.arange(6) % 2
    whole, half, none = (generator.styles(z, classes, truncation=share) for share in (1.0, 0.5, 0.0))
    mean = generator.mean_style
    assert mean.abs().sum() > 0 and (none == mean).all()
    assert ((whole + mean) / 2 - half).abs().max() < 1e-6
    wanted = generator.style(noise(4000, seed=5), torch.arange(4000) % 2).mean(0)
    assert (mean - wanted).abs().max() < 0.05 * generator.style(z, classes).std()


def test_specs_come_back_from_plain_values():
    generator, discriminator = networks(classes=2)
    for spec in (generator.spec, discriminator.spec):
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in spec.to_dict().items()}
        assert type(spec).from_dict(plain) == spec


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"towers": (8,), "blocks": (1, 1)}, r"towers is \(8,\) and blocks \(1, 1\); they should have as many"),
        ({"towers": ()}, r"towers is \(\); it should be 1 to 8 whole numbers"),
        ({"towers": (8, 0)}, "a number of towers is 0; it should be a whole number from 1 to 4096"),
        ({"classes": -1}, "classes is -1; it should be a whole number from 0 to"),
        ({"noise": 0}, "noise is 0; it should be"),
        ({"depth": 3}, "GeneratorSpec has no depth; it has blocks, channels, classes"),
    ],
)
def test_impossible_sizes_are_refused_in_a_sentence(sizes, says):
    with pytest.raises(ValueError, match=says):
        GeneratorSpec.from_dict(sizes)
