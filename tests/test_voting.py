from dataclasses import replace

import numpy as np
import pytest

from emotion_core.errors import CardMismatch
from emotion_core.labels import LabelSet
from emotion_core.types import Affect, Scores
from emotion_core.voting import hard_vote, soft_vote
from tests.builders import LABELS, make_scores

NAMES = {"a": "anger", "b": "happy", "c": "sad", "d": "fear"}


@pytest.mark.parametrize(
    ("votes", "winner"), [("abbc", "b"), ("aabb", "a"), ("baab", "b"), ("abcd", "a"), ("baac", "a")]
)
def test_the_first_seen_of_the_most_named_wins(votes: str, winner: str) -> None:
    vote = hard_vote([make_scores({NAMES[name]: 0.9}) for name in votes])
    assert LABELS[int(vote.class_id[0])] == NAMES[winner]
    assert vote.confidence[0] == pytest.approx(votes.count(winner) / len(votes))
    assert vote.scores.probs.sum() == pytest.approx(1)


def test_shares_of_a_tie_still_name_its_winner() -> None:
    vote = hard_vote([make_scores({"sad": 0.9}), make_scores({"anger": 0.9})])
    assert LABELS[int(vote.class_id[0])] == "sad"
    assert vote.scores.probs.argmax() == LABELS.index("anger"), "the first of two equal ones"
    probs = vote.as_probs()
    assert probs.argmax() == LABELS.index("sad")
    assert probs.sum() == pytest.approx(1)


def test_a_tie_of_all_labels_has_a_winner_and_no_votes_have_none() -> None:
    labels = LabelSet(("happy", "sad"))
    rows = [[0.1, 0.9], [0.8, 0.2], [0.5, 0.5]]
    sad, happy, nothing = (Scores(np.array([row], np.float32), labels) for row in rows)
    vote = hard_vote([sad, happy])
    assert not vote.scores.is_flat.any()
    assert labels.names[int(vote.as_probs().argmax())] == "sad"
    assert vote.scores.probs[0] == pytest.approx([0.5, 0.5], abs=1e-3)
    assert vote.confidence[0] == 0.5
    assert hard_vote([nothing, nothing]).scores.is_flat.all()


def test_who_answers_valence_and_arousal_is_averaged() -> None:
    points = [Affect(np.array([v], np.float32), np.array([a], np.float32))
              for v, a in ((0.2, 0.6), (0.6, -0.2))]  # fmt: skip
    members = [
        replace(make_scores({"sad": 0.9}), affect=one) for one in (points[0], None, points[1])
    ]
    for vote in (soft_vote(members), hard_vote(members)):
        assert vote.scores.affect is not None
        assert vote.scores.affect.valence == pytest.approx([0.4])
        assert vote.scores.affect.arousal == pytest.approx([0.2])
    weighed = soft_vote(members, (3, 7, 1)).scores.affect
    assert weighed is not None
    assert weighed.valence == pytest.approx([0.3])
    assert weighed.arousal == pytest.approx([0.4])
    assert weighed.valence.dtype == np.float32
    alone = soft_vote(members, (0, 1, 2)).scores.affect
    assert alone is not None
    assert alone.valence == pytest.approx([0.6])
    assert soft_vote(members, (0, 1, 0)).scores.affect is None, "who does not count tells nothing"


def test_a_soft_vote_is_the_mean() -> None:
    vote = soft_vote([make_scores({"sad": 0.9}), make_scores({"happy": 0.6, "sad": 0.3})])
    assert LABELS[int(vote.class_id[0])] == "sad"
    assert vote.confidence[0] == pytest.approx(0.6)


def test_a_soft_vote_needs_one_order_of_labels() -> None:
    turned = LabelSet(reversed(LABELS.names))
    with pytest.raises(CardMismatch, match="same labels in the same order"):
        soft_vote([make_scores({"sad": 0.9}), make_scores({"sad": 0.9}, labels=turned)])


def test_a_hard_vote_maps_names_and_counts_strangers_as_abstaining() -> None:
    other = LabelSet(["sad", "uncertain"])
    members = [
        make_scores({"happy": 0.9}),
        make_scores({"sad": 0.9}, labels=other),
        make_scores({"uncertain": 0.9}, labels=other),
        make_scores({"sad": 0.9}),
    ]
    vote = hard_vote(members)
    assert LABELS[int(vote.class_id[0])] == "sad"
    assert vote.confidence[0] == pytest.approx(2 / 4)
    assert vote.scores.probs[0, LABELS.index("sad")] == pytest.approx(2 / 3)


def test_a_hard_vote_knows_angry_from_anger() -> None:
    other = LabelSet(["angry", "happiness"])
    members = [
        make_scores({"happy": 0.9}),
        make_scores({"angry": 0.9}, labels=other),
        make_scores({"angry": 0.9}, labels=other),
    ]
    vote = hard_vote(members)
    assert LABELS[int(vote.class_id[0])] == "anger"


def test_members_have_to_speak_of_the_same_faces() -> None:
    with pytest.raises(CardMismatch):
        hard_vote([make_scores({"sad": 0.9}), make_scores({"sad": 0.9}, {"sad": 0.9})])
    with pytest.raises(CardMismatch):
        soft_vote([])


def test_a_member_for_which_no_label_leads_does_not_vote() -> None:
    flat = make_scores({}, {})
    assert flat.is_flat.all()
    vote = hard_vote([flat, make_scores({"happy": 0.8}, {"happy": 0.8}), flat])
    assert [LABELS[int(i)] for i in vote.class_id] == ["happy", "happy"]
    assert vote.confidence == pytest.approx([1 / 3, 1 / 3])
    nobody = hard_vote([flat, flat])
    assert nobody.scores.is_flat.all()
    assert np.ptp(nobody.as_probs(), axis=1) == pytest.approx([0, 0])


def test_nobody_is_a_defined_answer() -> None:
    empty = make_scores()
    for vote in (soft_vote([empty, empty]), hard_vote([empty, empty])):
        assert len(vote.scores) == 0
        assert np.shape(vote.class_id) == (0,)
