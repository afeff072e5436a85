import numpy as np
import pandas as pd
import pytest

from everfresh.replay.scoring import Rival, scores_of_month


def served(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns)


SURE = served(label=["no", "no", "yes", "yes"], **{"p.no": [0.9, 0.8, 0.3, 0.1], "p.yes": [0.1, 0.2, 0.7, 0.9]})
HALF = np.full((4, 2), 0.5)


def test_everybody_is_scored_on_the_same_rows() -> None:
    turned = Rival(SURE[["p.yes", "p.no"]].to_numpy(), ("no", "yes"))
    scores = scores_of_month(
        SURE, "classification", {"never_retrained": turned, "majority": Rival(HALF, ("no", "yes"))}
    )

    assert scores["roc_auc"] == {"served": 1.0, "never_retrained": 0.0, "majority": 0.5}
    assert scores["log_loss"]["served"] == pytest.approx(-np.log([0.9, 0.8, 0.7, 0.9]).mean())
    assert scores["log_loss"]["majority"] == pytest.approx(np.log(2))


def test_rows_without_a_label_are_left_out_of_all_answers() -> None:
    late = pd.concat([SURE, SURE.assign(label=None)], ignore_index=True)
    rivals = {"never_retrained": Rival(np.vstack([HALF, 1 - HALF]), ("no", "yes"))}

    assert scores_of_month(late, "classification", rivals) == scores_of_month(
        SURE, "classification", {"never_retrained": Rival(HALF, ("no", "yes"))}
    )


@pytest.mark.parametrize(
    ("task", "month", "rival"),
    [
        ("classification", SURE, Rival(HALF, ("no", "yes"))),
        ("classification", SURE.assign(**{"p.maybe": 0.0}), Rival(np.full((4, 3), 1 / 3), ("maybe", "no", "yes"))),
        ("regression", served(label=["1", "2", "3", "4"], value=[1.0, 2.0, 3.0, 4.0]), Rival(np.zeros(4), ())),
    ],
)
def test_a_month_without_a_single_label_has_no_scores(task: str, month: pd.DataFrame, rival: Rival) -> None:
    scores = scores_of_month(month.assign(label=None), task, {"never_retrained": rival})  # type: ignore[arg-type]

    assert len(scores) == 2
    assert all(each == {"served": None, "never_retrained": None} for each in scores.values())


def test_numbers_are_scored_as_numbers() -> None:
    month = served(label=["10", "20.5"], value=[11.0, 20.5])
    scores = scores_of_month(month, "regression", {"never_retrained": Rival(np.array([10.0, 22.5]), ())})

    assert scores["mae"] == {"served": 0.5, "never_retrained": 1.0}
    assert scores["rmse"]["served"] == pytest.approx(np.sqrt(0.5))


def test_a_class_that_came_up_later_counts_for_those_who_know_it_and_against_the_others() -> None:
    month = served(
        label=["never", "no", "yes", "never"],
        **{"p.never": [0.8, 0.1, 0.0, None], "p.no": [0.1, 0.8, 0.1, 0.5], "p.yes": [0.1, 0.1, 0.9, 0.5]},
    )
    scores = scores_of_month(month, "classification", {"never_retrained": Rival(HALF, ("no", "yes"))})

    floor = -np.log(1e-15)
    assert scores["log_loss"]["served"] == pytest.approx((-np.log([0.8, 0.8, 0.9]).sum() + floor) / 4)
    assert scores["log_loss"]["never_retrained"] == pytest.approx((2 * np.log(2) + 2 * floor) / 4)


def test_a_month_of_one_class_has_no_roc_auc() -> None:
    scores = scores_of_month(SURE.head(2), "classification", {"majority": Rival(HALF[:2], ("no", "yes"))})

    assert scores["roc_auc"] == {"served": None, "majority": None}
    assert scores["log_loss"]["served"] is not None
