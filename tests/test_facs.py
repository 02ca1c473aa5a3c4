from types import SimpleNamespace

import numpy as np
import pytest

from skfau.facs import (
    ACTION_UNITS,
    DATASET_AUS,
    EMOTION_AUS,
    FLIP_68,
    FLIP_AUS,
    OWN_ROI_AUS,
    RELATED_AUS,
    ROI_RULES,
    action_unit,
    au_names,
    roi_rule,
    to_68,
)

HEAD = set(range(51, 59))


def test_table_is_keyed_by_its_own_numbers():
    assert all(number == unit.number for number, unit in ACTION_UNITS.items())
    assert list(ACTION_UNITS) == sorted(ACTION_UNITS)


@pytest.mark.parametrize("name", DATASET_AUS)
def test_every_au_of_every_data_set_has_an_entry(name):
    aus = DATASET_AUS[name]
    assert list(aus) == sorted(set(aus))
    assert set(aus) <= set(ACTION_UNITS)


def test_sizes_of_the_published_au_sets():
    sizes = {name: len(aus) for name, aus in DATASET_AUS.items()}
    assert sizes == {
        "bp4d": 12,
        "bp4d_plus": 12,
        "bp4d_plus_coded": 34,
        "disfa": 8,
        "disfa_coded": 12,
        "emotionet": 12,
        "emotionet_2020": 23,
        "affwild2": 12,
        "affwild2_2020": 8,
    }


def test_three_data_sets_together_have_the_fifteen_aus_of_aunet_and_sevnet():
    union = {*DATASET_AUS["bp4d"], *DATASET_AUS["disfa"], *DATASET_AUS["affwild2"]}
    assert sorted(union) == [1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 17, 23, 24, 25, 26]
    assert set(ROI_RULES["aunet"]) == union


def test_emotions_and_relations_name_known_aus():
    for sets in EMOTION_AUS.values():
        for aus in sets:
            assert set(aus) <= set(ACTION_UNITS)
    for pair in RELATED_AUS:
        assert set(pair) <= set(ACTION_UNITS)


def test_descriptions_are_distinct_single_sentences():
    sentences = [unit.description for unit in ACTION_UNITS.values()]
    assert len(set(sentences)) == len(sentences)
    for sentence in sentences:
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert sentence.count(".") == 1
        assert len(sentence.split()) >= 7


def test_names_are_distinct():
    names = [unit.name for unit in ACTION_UNITS.values()]
    assert len(set(names)) == len(names)


def test_regions_are_the_documented_ones():
    regions = {unit.region for unit in ACTION_UNITS.values()}
    assert regions == {"upper face", "lower face", "neck", "head", "gaze"}
    upper = [n for n, unit in ACTION_UNITS.items() if unit.region == "upper face"]
    assert upper == [1, 2, 4, 5, 6, 7, 43, 45, 46]


def test_tables_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        DATASET_AUS["mine"] = (1,)
    with pytest.raises(AttributeError):
        action_unit(1).name = "Brow"


def test_unknown_number_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no AU3\..*1, 2, 4, 5"):
        action_unit(3)
    with pytest.raises(ValueError, match="no AU99"):
        au_names((1, 99))


def test_numpy_integers_are_numbers_too():
    assert au_names(np.array([1, 12])) == ["AU1", "AU12"]


def test_relations_are_ordered_pairs_and_a_valid_correlation_matrix():
    aus = sorted(ACTION_UNITS)
    matrix = np.eye(len(aus))
    for (low, high), strength in RELATED_AUS.items():
        assert low < high
        i, j = aus.index(low), aus.index(high)
        matrix[i, j] = matrix[j, i] = strength
    assert np.abs(matrix).max() == 1
    assert np.linalg.eigvalsh(matrix).min() > 0.05


def test_flip_is_an_involution_of_all_points():
    flip = np.array(FLIP_68)
    assert sorted(FLIP_68) == list(range(68))
    np.testing.assert_array_equal(flip[flip], np.arange(68))


@pytest.mark.parametrize(
    ("points", "mirrored"),
    [
        ((36, 37, 38, 39, 40, 41), (45, 44, 43, 42, 47, 46)),
        ((17, 18, 19, 20, 21), (26, 25, 24, 23, 22)),
        ((0, 8, 27, 30, 31, 33), (16, 8, 27, 30, 35, 33)),
        ((48, 49, 50, 51, 59, 58, 57), (54, 53, 52, 51, 55, 56, 57)),
        ((60, 61, 62, 67, 66), (64, 63, 62, 65, 66)),
    ],
)
def test_flip_swaps_the_sides(points, mirrored):
    assert tuple(FLIP_68[i] for i in points) == mirrored


def test_flipped_aus_trade_left_for_right():
    for au, partner in FLIP_AUS.items():
        assert FLIP_AUS[partner] == au
        swapped = action_unit(au).name.replace("left", "?").replace("right", "left")
        assert swapped.replace("?", "right") == action_unit(partner).name


@pytest.mark.parametrize("convention", ROI_RULES)
def test_roi_rules_mirror_with_the_face(convention):
    for au, centres in ROI_RULES[convention].items():
        here = {(frozenset(c.points), c.dy) for c in centres}
        there = {(frozenset(FLIP_68[i] for i in c.points), c.dy) for c in centres}
        assert here == there, f"AU{au}"


@pytest.mark.parametrize(
    ("convention", "au", "expected"),
    [
        ("jaa", 1, (((21,), -1 / 2), ((22,), -1 / 2))),
        ("jaa", 2, (((18,), -1 / 3), ((25,), -1 / 3))),
        ("jaa", 4, (((19,), 1 / 3), ((24,), 1 / 3))),
        ("jaa", 6, (((41,), 1), ((46,), 1))),
        ("jaa", 7, (((38,), 0), ((43,), 0))),
        ("jaa", 9, (((32,), -1 / 2), ((34,), -1 / 2))),
        ("jaa", 10, (((61,), 0), ((63,), 0))),
        ("jaa", 17, (((56,), 1 / 2), ((58,), 1 / 2))),
        ("jaa", 24, (((51,), 0), ((57,), 0))),
        ("eac", 2, (((18,), -1 / 3), ((25,), -1 / 3))),
        ("eac", 10, (((49,), 0), ((53,), 0))),
        ("eac", 23, (((61,), 0), ((63,), 0))),
        ("aunet", 2, (((17,), -1 / 3), ((26,), -1 / 3))),
        ("aunet", 4, (((21, 22), 1 / 3),)),
        ("aunet", 6, (((2, 41), 0), ((14, 46), 0))),
        ("aunet", 9, (((39,), 1 / 2), ((42,), 1 / 2))),
        ("aunet", 10, (((50,), 0), ((52,), 0))),
        ("aunet", 26, (((56,), 1 / 2), ((58,), 1 / 2))),
    ],
)
def test_roi_rules_are_the_published_ones(convention, au, expected):
    assert roi_rule(au, convention) == expected


@pytest.mark.parametrize("name", DATASET_AUS)
def test_default_convention_covers_all_facial_aus_of_the_data_sets(name):
    assert set(DATASET_AUS[name]) - HEAD <= set(ROI_RULES["jaa"])


def test_own_rules_never_replace_a_published_one():
    published = set(ROI_RULES["eac"]) | set(ROI_RULES["aunet"])
    assert not published & set(OWN_ROI_AUS)
    assert set(OWN_ROI_AUS) < set(ROI_RULES["jaa"])


def test_missing_rule_lists_what_there_is_and_where_to_look():
    with pytest.raises(ValueError, match=r"'eac' has no .*AU26.*1, 2, 4.*'jaa' has"):
        roi_rule(26, "eac")
    with pytest.raises(ValueError, match=r"'jaa' has no region of interest for AU51"):
        roi_rule(51)


def test_unknown_convention_lists_the_known_ones():
    with pytest.raises(ValueError, match="'jaa', 'eac', 'aunet', got 'dlib'"):
        roi_rule(1, "dlib")


@pytest.mark.parametrize(
    ("n_points", "missing"),
    [
        (49, [*range(17), 60, 64]),
        (51, list(range(17))),
        (66, [60, 64]),
        (68, []),
    ],
)
def test_to_68_leaves_nan_where_the_layout_has_no_point(n_points, missing):
    points = to_68(np.ones((3, n_points, 2)))
    assert points.dtype == np.float32
    gone = np.isnan(points[1]).all(axis=1)
    assert np.flatnonzero(gone).tolist() == missing


@pytest.mark.parametrize(
    ("row_49", "row_68"),
    [(0, 17), (10, 27), (14, 31), (19, 36), (25, 42), (31, 48), (42, 59), (43, 61)],
)
def test_rows_of_the_49_point_layout(row_49, row_68):
    points = np.arange(98.0).reshape(49, 2)
    np.testing.assert_array_equal(to_68(points)[row_68], points[row_49])


def test_last_rows_of_the_49_point_layout_are_the_lower_inner_lip():
    points = np.arange(98.0).reshape(49, 2)
    np.testing.assert_array_equal(to_68(points)[[63, 65, 66, 67]], points[45:])


def test_five_points_are_nose_and_mouth_of_the_68():
    points = to_68(np.arange(10.0).reshape(5, 2))
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    assert known.tolist() == [30, 48, 54]
    assert points[known, 0].tolist() == [4, 6, 8]


@pytest.mark.parametrize("n_points", [468, 478])
def test_the_mesh_gives_all_68(n_points):
    """Vertices of eye corners, nose tip and mouth corners, by MediaPipe's figure."""
    points = to_68(np.arange(n_points)[:, None] * np.ones(2))
    assert np.isfinite(points).all()
    places = [36, 39, 42, 45, 30, 48, 54]
    assert points[places, 0].tolist() == [33, 133, 362, 263, 4, 61, 291]


def test_wflw_gives_all_68():
    """The places that its figure and iBUG's share; the middle of a brow's edges."""
    points = to_68(np.arange(98.0)[:, None] * np.ones(2))[:, 0]
    assert points[[0, 8, 16]].tolist() == [0, 16, 32]
    assert points[[17, 18, 21, 22, 25, 26]].tolist() == [33, 37.5, 37.5, 46, 46, 46]
    assert points[[27, 30, 31, 35]].tolist() == [51, 54, 55, 59]
    assert points[[36, 39, 42, 45]].tolist() == [60, 64, 68, 72]
    np.testing.assert_allclose(points[[37, 38]], [61 + 1 / 3, 63 - 1 / 3], rtol=1e-6)
    assert points[48:].tolist() == list(range(76, 96))


def test_wflw_turns_with_the_face():
    points = np.random.default_rng(0).uniform(0, 99, (98, 2))
    turned = to_68(points[:, ::-1])
    np.testing.assert_allclose(turned, to_68(points)[:, ::-1], rtol=1e-6)


@pytest.mark.parametrize("n_points", [5, 49, 51, 66, 68, 98, 468, 478])
def test_a_third_number_per_point_is_left_out(n_points):
    points = np.random.default_rng(0).uniform(0, 99, (4, n_points, 3))
    np.testing.assert_array_equal(to_68(points), to_68(points[..., :2]))


def of_dlib(points):
    parts = [SimpleNamespace(x=x, y=y) for x, y in points]
    return SimpleNamespace(num_parts=len(parts), parts=lambda: parts)


class Repeated:
    """Like a list of a protobuf message, which has no ``__iter__``."""

    def __init__(self, entries):
        self.entries = entries

    def __len__(self):
        return len(self.entries)

    def __getitem__(self, place):
        return self.entries[place]


def of_mediapipe(points, box=list):
    return box([SimpleNamespace(x=x, y=y, z=0.1) for x, y in points])


def test_objects_of_tools_are_read_and_none_is_a_lost_face():
    points = np.random.default_rng(0).integers(0, 99, (2, 68, 2)).astype(float)
    found = to_68([of_dlib(points[0]), None, of_dlib(points[1])])
    np.testing.assert_array_equal(found[[0, 2]], points)
    assert np.isnan(found[1]).all()
    np.testing.assert_array_equal(to_68(of_dlib(points[0])), points[0])
    assert np.isnan(to_68([None, None])).all()
    arrays = to_68([points[0], None])
    np.testing.assert_array_equal(arrays[0], points[0])


def test_shares_of_the_image_become_pixels_by_its_size():
    """The left edge of an image lies half a pixel left of its first pixel's centre."""
    shares = np.random.default_rng(0).random((2, 478, 2))
    sizes = np.array([(640, 480), (200, 100)])
    expected = to_68(shares * sizes[:, None] - 0.5)
    np.testing.assert_allclose(to_68(shares, sizes), expected, atol=1e-4)
    np.testing.assert_allclose(to_68(shares[0], sizes[0]), expected[0], atol=1e-4)
    legacy = of_mediapipe(shares[1], lambda p: SimpleNamespace(landmark=Repeated(p)))
    found = to_68([of_mediapipe(shares[0]), None, legacy], (640, 480))
    np.testing.assert_allclose(found[0], expected[0], atol=1e-3)
    assert np.isnan(found[1]).all() and np.isfinite(found[2]).all()


@pytest.mark.parametrize(
    ("landmarks", "size", "match"),
    [
        (np.zeros((4, 97, 2)), None, r"5, 49, .* 98, 468 or 478 points, got 97"),
        (np.zeros((3, 98)), None, r"shape .*got \(3, 98\); reshape"),
        (np.eye(478, 3) / 2, None, r"shares of the image.* pass size=\(width, hei"),
        (np.full((478, 3), 50), (64, 48), "pixels need no size"),
        (np.full((478, 3), 0.5), (64, 48, 3), r"got size \[64"),
        ([np.ones((68, 2)), np.ones((5, 2))], None, r"\(68, 2\) \(entry 0\), \(5, 2\)"),
        (["a face"], None, "could not convert string"),
    ],
)
def test_to_68_names_what_it_cannot_read(landmarks, size, match):
    with pytest.raises(ValueError, match=match):
        to_68(landmarks, size)
