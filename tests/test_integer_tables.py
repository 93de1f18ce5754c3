"""Tables of whole numbers, and coders that write by exactly these."""

import itertools
import math

import numpy as np
import pytest

from tfvae import integer_tables
from tfvae.applications.compression.ans import Ans
from tfvae.applications.compression.huffman import LONGEST, Huffman, canonical_codes, code_lengths
from tfvae.decoding import UnreadableError
from tfvae.integer_tables import SCALES, TOTAL, frequencies, normal_frequencies, normal_half_widths, with_escape

RNG = np.random.default_rng(5)
NORMAL = [normal_frequencies(*pair) for pair in zip(SCALES, normal_half_widths().tolist(), strict=True)]


def drawn(table, count):
    return RNG.choice(len(table), count, p=table / table.sum())


def random_tables():
    for size in (2, 3, 17, 2600):
        for concentration in (0.01, 1.0, 50.0):
            yield frequencies(RNG.dirichlet(np.full(size, concentration)) + 1e-300)


def rans(places, table):
    """What asymmetric numeral systems with 32-bit words make of places, in Python's own whole numbers."""
    starts = np.concatenate([[0], np.cumsum(table)]).tolist()
    state, words = 0, []
    for place in reversed(places.tolist()):
        width = starts[place + 1] - starts[place]
        if state >= width << 40:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        state = (state // width << 24) + state % width + starts[place]
    while state:
        words.append(state & 0xFFFFFFFF)
        state >>= 32
    return np.array(words, "<u4").tobytes()


@pytest.mark.parametrize("table", [*random_tables(), *NORMAL], ids=len)
def test_a_table_is_of_positive_whole_numbers_with_the_sum_2_to_24(table):
    assert table.dtype == np.int64 and table.min() >= 1 and table.sum() == TOTAL


def test_frequencies_are_within_one_of_what_they_stand_for():
    probabilities = RNG.dirichlet(np.ones(300))
    assert np.abs(frequencies(probabilities) - 1 - probabilities * (TOTAL - 300)).max() <= 1


@pytest.mark.parametrize("bad", [[0.5, -0.1], [np.nan, 1.0], [0.0, 0.0], [np.inf, 1.0]])
def test_what_is_no_probability_is_refused(bad):
    with pytest.raises(ValueError, match="`probabilities`"):
        frequencies(np.array(bad))


@pytest.mark.parametrize("number", [0, 20, 40, 63])
def test_a_normal_table_is_symmetric_and_holds_the_masses_of_the_bins(number):
    scale, table = SCALES[number], NORMAL[number]
    inside, half_width = table[:-1], (len(table) - 2) // 2
    np.testing.assert_allclose(inside, inside[::-1], atol=1)
    edges = (np.arange(-half_width, half_width + 2) - 0.5) / scale
    mass = np.diff([0.5 * math.erfc(-edge / math.sqrt(2)) for edge in edges])
    # Every place has one at least, and the escape its own: what they take is missing elsewhere.
    missing = (len(table) + integer_tables.ESCAPE) / TOTAL
    np.testing.assert_allclose(inside / TOTAL, mass, atol=missing * mass.max() + 2 / TOTAL)


def test_an_index_is_at_most_half_a_step_from_any_scale_in_between():
    assert len(SCALES) == 64 and SCALES[0] == pytest.approx(0.11) and SCALES[-1] == pytest.approx(256)
    # Coding by the next scale costs less than 0.2 % of the bits.
    table, next_one = (normal_frequencies(scale, 40) for scale in (4.0, 4.0 * math.exp(integer_tables.STEP / 2)))
    share = table / TOTAL
    entropy, cross = (-np.sum(share * np.log2(one / TOTAL)) for one in (table, next_one))
    assert entropy <= cross < 1.002 * entropy


@pytest.mark.parametrize("table", [*random_tables(), NORMAL[0], NORMAL[30], NORMAL[63]], ids=len)
def test_the_library_codes_by_exactly_the_integers_it_is_given(table):
    places = np.concatenate([drawn(table, 300), RNG.integers(0, len(table), 100), [0, len(table) - 1]])
    coder = Ans([table])
    content = coder.encode([(0, places)])
    assert content == rans(places, table)
    np.testing.assert_array_equal(coder.decode(content, [(0, len(places))])[0], places)


@pytest.mark.parametrize("make", [Ans, Huffman])
def test_groups_come_back_in_their_order_by_their_own_tables(make):
    coder, groups = make(NORMAL), [(number, drawn(NORMAL[number], count)) for number, count in PLAN]
    content = coder.encode(groups)
    found = coder.decode(content, [(number, len(places)) for number, places in groups])
    for (_, places), read in zip(groups, found, strict=True):
        np.testing.assert_array_equal(read, places)
    assert make(NORMAL).encode([]) == b"" and make(NORMAL).decode(b"", [(3, 0)])[0].size == 0


PLAN = [(0, 5000), (1, 0), (2, 1), (9, 400), (30, 77), (63, 3000), (0, 1), (12, 2)]


@pytest.mark.parametrize("number", [0, 8, 15, 30, 63])
def test_the_length_of_a_stream_is_its_information(number):
    places = drawn(NORMAL[number], 20_000)
    bits = integer_tables.bits(NORMAL[number], places)
    assert bits <= 8 * len(Ans(NORMAL).encode([(number, places)])) <= bits + 64
    # A tenth more, and what rounding up to whole tokens takes.
    assert bits - 8 <= 8 * len(Huffman(NORMAL).encode([(number, places)])) <= 1.1 * bits + 64


def test_the_information_of_symbols_is_the_sum_of_their_logarithms():
    places = drawn(NORMAL[20], 50)
    expected = sum(-math.log2(NORMAL[20][place] / TOTAL) for place in places)
    assert integer_tables.bits(NORMAL[20], places) == pytest.approx(expected)


@pytest.mark.parametrize("size", [2, 3, 10, 200])
def test_code_lengths_are_the_best_there_are(size):
    table = frequencies(RNG.dirichlet(np.full(size, 0.3)))
    lengths = code_lengths(table)
    assert np.sum(2.0**-lengths) == 1 and lengths.max() <= LONGEST
    # Without the limit, the cost of Huffman's own construction.
    heap, cost = sorted(table.tolist()), 0
    while len(heap) > 1:
        joined = heap.pop(0) + heap.pop(0)
        cost += joined
        heap = sorted([*heap, joined])
    assert np.sum(code_lengths(table, 40) * table) == cost <= np.sum(lengths * table)


def test_codes_are_prefix_free_and_in_the_order_of_their_lengths():
    lengths = code_lengths(NORMAL[25])
    codes = [f"{code:0{length}b}" for code, length in zip(canonical_codes(lengths), lengths, strict=True)]
    assert codes == [text for _, text in sorted(zip(range(len(codes)), codes, strict=True))]
    ordered = sorted(codes)
    assert not any(after.startswith(before) for before, after in itertools.pairwise(ordered))


def test_an_escape_takes_sixteen_bits():
    assert with_escape(np.ones(100))[-1] == pytest.approx(TOTAL / 2**16, rel=0.01)


@pytest.mark.parametrize("make", [Ans, Huffman])
def test_a_stream_that_is_longer_than_its_symbols_is_damaged(make):
    places = drawn(NORMAL[40], 400)
    content = make(NORMAL).encode([(40, places)])
    for damaged, count in ((content, 300), (content + b"\1\0\0\0", 400), (content[:3], 400)):
        with pytest.raises(UnreadableError):
            make(NORMAL).decode(damaged, [(40, count)])


def test_codes_that_end_too_early_are_damaged():
    places = drawn(NORMAL[40], 400)
    with pytest.raises(UnreadableError):
        Huffman(NORMAL).decode(Huffman(NORMAL).encode([(40, places)])[:-8], [(40, 400)])
