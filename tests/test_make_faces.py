import numpy as np
import pytest

from skfau.datasets import draw_faces, make_faces
from skfau.datasets.drawn._dynamics import BASE_RATES, simulate_intensities
from skfau.facs import DATASET_AUS, RELATED_AUS

# All AUs that can be drawn.
ALL = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 24, 25, 26, 43)
COLUMN = {au: k for k, au in enumerate(ALL)}


@pytest.fixture(scope="module")
def tracks():
    """Intensities of 300 people in two videos of 40 frames; drawing takes minutes."""
    subject = np.repeat(np.arange(300), 2)
    return simulate_intensities(
        np.random.default_rng(0), subject, np.full(len(subject), 40)
    )


def same(one, other):
    return all(
        np.array_equal(a, b)
        for a, b in (
            (one.data.images[...], other.data.images[...]),
            (one.data.landmarks, other.data.landmarks),
            (one.intensity, other.intensity),
        )
    )


def test_bunch_holds_what_the_contract_says():
    made = make_faces(3, 7, aus=(12, 4), image_size=40, random_state=0)
    assert made.data.images[...].shape == (21, 40, 40, 3)
    assert made.data.landmarks.shape == (21, 68, 2)
    assert made.data.landmarks.dtype == np.float32
    assert made.target.shape == made.intensity.shape == (21, 2)
    assert made.target.dtype == made.intensity.dtype == np.float32
    assert made.aus == (12, 4)
    assert made.data.subject.tolist() == ["S01"] * 7 + ["S02"] * 7 + ["S03"] * 7
    assert made.data.video[:7].tolist() == ["S01_T1"] * 4 + ["S01_T2"] * 3
    assert made.data.frame[:7].tolist() == [1, 2, 3, 4, 1, 2, 3]
    assert "level B" in made.DESCR


def test_a_single_frame_is_a_single_video():
    made = make_faces(2, 1, image_size=40, random_state=0)
    assert made.data.video.tolist() == ["S01_T1", "S02_T1"]


def test_occurrence_is_intensity_of_at_least_two():
    made = make_faces(2, 20, image_size=40, random_state=3)
    np.testing.assert_array_equal(made.target, made.intensity >= 2)


def test_same_seed_same_faces():
    made = [make_faces(2, 6, image_size=40, random_state=s) for s in (5, 5, 6)]
    assert same(made[0], made[1])
    assert not same(made[0], made[2])


@pytest.mark.parametrize("make", [np.random.RandomState, np.random.default_rng])
def test_random_states_are_used_up(make):
    source = make(3)
    first, second = (make_faces(1, 4, image_size=40, random_state=source) for _ in "ab")
    assert not same(first, second)
    assert same(first, make_faces(1, 4, image_size=40, random_state=make(3)))


def test_threads_change_nothing(monkeypatch):
    made = []
    for n_threads in (1, 3):
        monkeypatch.setattr("joblib.cpu_count", lambda n=n_threads: n)
        made.append(make_faces(3, 10, image_size=40, random_state=1))
    assert same(*made)


def test_what_a_thread_raises_is_raised(monkeypatch):
    def fail(*args):
        raise MemoryError("no room")

    monkeypatch.setattr("cv2.fillPoly", fail)
    with pytest.raises(MemoryError, match="no room"):
        make_faces(1, 2, image_size=40)


def test_global_generator_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_faces(1, 3, image_size=40, random_state=0)
    make_faces(1, 3, image_size=40)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_aus_choose_columns_not_pixels():
    some = make_faces(2, 6, aus=(25, 4), image_size=40, random_state=2)
    every = make_faces(2, 6, aus=ALL, image_size=40, random_state=2)
    np.testing.assert_array_equal(some.data.images[...], every.data.images[...])
    columns = [COLUMN[25], COLUMN[4]]
    np.testing.assert_array_equal(some.intensity, every.intensity[:, columns])


def test_a_subject_looks_the_same_in_both_videos_and_unlike_others():
    made = make_faces(3, 8, image_size=48, random_state=0)
    colour = made.data.images[...][:, 18:26, 20:28].mean(axis=(1, 2))
    hue = (colour / colour.sum(axis=1, keepdims=True)).reshape(3, 8, 3)
    assert hue.std(axis=1).max() < hue.mean(axis=1).std(axis=0).max()


def test_rates_are_kept(tracks):
    rates = (tracks >= 2).mean(axis=0)
    np.testing.assert_allclose(rates, [BASE_RATES[au] for au in ALL], atol=0.01)


@pytest.mark.parametrize("seed", range(6))
def test_every_au_is_present_and_absent_in_the_default_size(seed):
    subject = np.repeat(np.arange(12), 2)
    intensity = simulate_intensities(
        np.random.default_rng(seed), subject, np.full(24, 30)
    )
    rates = (intensity >= 2).mean(axis=0)
    assert 0.05 < rates.min() < rates.max() < 0.65


def test_related_aus_go_together_or_apart(tracks):
    correlation = np.corrcoef(tracks.T)
    for (first, second), strength in RELATED_AUS.items():
        pair = correlation[COLUMN[first], COLUMN[second]]
        assert np.sign(strength) * pair > 0.03, (first, second)
    assert correlation[COLUMN[6], COLUMN[12]] > 0.35


def test_aus_are_as_closely_related_as_the_table_says(tracks):
    correlation = np.corrcoef(tracks.T)
    table = np.zeros((len(ALL), len(ALL)))
    for (first, second), strength in RELATED_AUS.items():
        table[COLUMN[first], COLUMN[second]] = strength
    related = table != 0
    found, wanted = correlation[related], table[related]
    assert np.corrcoef(found, wanted)[0, 1] > 0.95
    # Intensities that are cut at 0 and 5 are less correlated than what they come from.
    assert 0.6 < (found @ wanted) / (wanted @ wanted) < 0.7
    assert np.abs(np.tril(correlation, -1)[~(related | related.T)]).max() < 0.1


def test_aus_set_in_hold_and_fade(tracks):
    step = np.diff(tracks.reshape(-1, 40, len(ALL)), axis=1)
    # Levels per frame: muscles relax more slowly than they contract.
    assert step.max() == pytest.approx(1.5)
    assert step.min() == pytest.approx(-1.0)
    held = (step == 0) & (tracks.reshape(-1, 40, len(ALL))[:, 1:] >= 2)
    assert held.mean() > 0.1


def test_people_have_habits(tracks):
    present = (tracks >= 2).reshape(300, 80, len(ALL)).mean(axis=1)
    rates = np.array([BASE_RATES[au] for au in ALL])
    chance = np.sqrt(rates * (1 - rates) / 10)
    assert (present.std(axis=0) > chance).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"aus": (1, 8, 99)}, r"cannot draw AU 8, 99; choose from 1, 2, .*43"),
        ({"aus": ("AU1",)}, "cannot draw AU AU1"),
        ({"aus": ()}, "at least one AU"),
        ({"aus": (1, 2, 1)}, "none twice"),
        ({"n_subjects": 0}, "'n_subjects' parameter of make_faces"),
        ({"n_frames": 2.5}, "'n_frames' parameter of make_faces"),
        ({"image_size": 16}, "'image_size' parameter of make_faces"),
    ],
)
def test_parameters_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_faces(**parameters)


def test_random_state_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="random_state must be None, an int"):
        make_faces(1, 1, random_state="now")


@pytest.mark.parametrize(
    ("intensity", "message"),
    [
        ([1, 2], r"shape \(n, 2\).*got \(2,\)"),
        ([[1]], r"got \(1, 1\)"),
        (np.empty((0, 2)), "at least one row"),
        ([[0, 6]], "within 0 to 5, got values from 0 to 6"),
        ([[0, np.nan]], "within 0 to 5"),
    ],
)
def test_intensities_are_checked(intensity, message):
    with pytest.raises(ValueError, match=message):
        draw_faces(intensity, DATASET_AUS["bp4d"][:2])


def test_a_person_is_the_same_each_time_and_unlike_another():
    one, again, other = (
        draw_faces([[0]], [1], image_size=48, person=who).images[0] for who in (4, 4, 5)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).mean() > 0.3
