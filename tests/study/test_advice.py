"""What people write elsewhere is understood well enough to name the key or the choice that they mean."""

import pytest

from widthwise.data import load_points
from widthwise.errors import InputError, StoreError
from widthwise.records import open_records
from widthwise.study import DataSettings, Study, load_study
from widthwise.study.read import study_from_tables
from widthwise.study.values import SYNONYMS, synonym


def advice(**tables):
    with pytest.raises(InputError) as found:
        study_from_tables({"study": {"name": "a"}} | tables)
    return str(found.value)


@pytest.mark.parametrize(
    ("table", "key", "written", "meant"),
    [
        ("network", "parametrization", "mup", "mean_field"),
        ("network", "parametrization", "muP", "mean_field"),
        ("network", "parametrization", "SP", "standard"),
        ("network", "activation", "ReLU", "relu"),
        ("network", "kind", "ResNet", "resnet"),
        ("training", "optimizer", "AdamW", "adamw"),
        ("training", "optimizer", "Adam", "adam"),
        ("training", "optimizer", "gradient-flow", "gradient_flow"),
        ("training", "loss", "cross-entropy", "cross_entropy"),
        ("training", "loss", "squared", "mse"),
    ],
)
def test_a_choice_by_another_name(table, key, written, meant):
    assert advice(**{table: {key: written}}).endswith(f'; did you mean "{meant}"?')


@pytest.mark.parametrize(
    ("table", "written", "meant"),
    [
        ("training", "lr", "training.learning_rate"),
        ("training", "batch_size", "training.batch"),
        ("training", "epochs", "training.steps"),
        ("training", "LR", "training.learning_rate"),
        ("network", "lr", "training.learning_rate"),
        ("network", "depth", "network.hidden_layers"),
        ("network", "hidden", "network.hidden_layers"),
        ("network", "width", "ensemble.widths"),
        ("network", "gamma", "network.richness"),
        ("network", "learning_rate", "training.learning_rate"),
        ("ensemble", "num_seeds", "ensemble.seeds"),
    ],
)
def test_a_key_by_another_name(table, written, meant):
    assert advice(**{table: {written: 1}}) == f"`{table}.{written}`: unknown key; did you mean `{meant}`?"


def test_a_key_outside_a_table_by_another_name():
    assert advice(lr=0.1) == "`lr`: stands outside a table; put it under [training] as `learning_rate`"


@pytest.mark.parametrize("written", ["learning_rate", "lr"])
def test_an_option_without_its_table_names_it(tmp_path, written):
    (tmp_path / "a.toml").write_text('[study]\nname = "a"\n')
    with pytest.raises(InputError, match=r"did you mean --set training\.learning_rate=0\.1\?"):
        load_study(tmp_path / "a.toml", [f"{written}=0.1"])
    with pytest.raises(InputError, match=r"such as --set training\.steps=50"):
        load_study(tmp_path / "a.toml", ["nonsense=0.1"])


def test_no_word_has_two_meanings_and_none_hides_a_key():
    tables = Study(name="a").tables()
    keys = {key for table in tables.values() for key in table}
    assert not SYNONYMS.keys() & keys
    assert all(synonym(key.upper(), [key]) == key for key in keys)


def test_a_link_that_leads_nowhere_is_named_as_one(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    said = r"link is a link that leads nowhere \(to .*gone\)"
    with pytest.raises(InputError, match=said):
        load_study(link)
    with pytest.raises(InputError, match=said):
        load_points(
            Study(name="a", data=DataSettings(kind="arrays", path="link/a.npz"), folder=str(tmp_path))
        )
    for path in (link, link / "records.zarr"):
        with pytest.raises(StoreError, match=said):
            open_records(path)
