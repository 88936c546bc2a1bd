import pytest

import widthwise as ww

torch = pytest.importorskip("torch")


def checked(of, out, **settings):
    return ww.torch.check(
        of.make,
        of.batches,
        of.loss,
        **{"optimizer": of.optimizer, "widths": of.widths, "seeds": 3, "steps": 6, "out": out, **settings},
    )


@pytest.fixture(scope="module")
def mended(wrong, tmp_path_factory):
    return checked(wrong, tmp_path_factory.mktemp("wrong"), suggest=True)


def test_the_change_that_makes_it_consistent_is_told_behind_the_cause(mended):
    assert mended.verdict == "inconsistent" and "`2.weight`" in mended.summary[0]
    assert mended.summary[1].endswith(
        "consistent: learning rate of `2.weight` times (width / base width)^-1."
    )
    page = mended.page.read_text()
    assert "add_param_group" in page and ww.report.audit.read_verdict(mended.page.parent / "verdict.json")


def test_the_suggested_lines_can_be_pasted_and_mend_it(mended, wrong, tmp_path):
    def optimizer(model, width):
        names = {"model": model, "optimizer": wrong.optimizer(model, width), "width": width, "torch": torch}
        exec(mended.suggestion, names)
        return names["optimizer"]

    assert checked(wrong, tmp_path, optimizer=optimizer).verdict == "consistent"


def test_a_model_that_is_consistent_is_never_mended(right, tmp_path, monkeypatch):
    import widthwise.torch.run_check as module

    monkeypatch.setattr(module, "suggested", lambda *arguments: pytest.fail("tried"))
    found = checked(right, tmp_path, suggest=True)
    assert found.verdict == "consistent" and not found.suggestion


def test_of_two_faults_both_are_mended(wrong, tmp_path):
    """And a setting that depends on the width comes first."""

    def scheduler(optimizer, width):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) * 16 / width))

    found = checked(wrong, tmp_path, scheduler=scheduler, suggest=True)
    told = "the schedule of width 16 at every width and learning rate of `2.weight` times"
    assert f"consistent: {told}" in found.summary[1]
    assert "# give every width the schedule of width 16" in found.suggestion
    assert '{"2.weight": m**-1}' in found.suggestion


def test_every_correction_changes_what_its_code_changes(right):
    """The model and the optimizer after a correction are those after its lines."""
    from widthwise.torch.correction import Correction
    from widthwise.torch.suggested_code import code_of

    correction = Correction(
        rates={"2.weight": -1.0, "0.bias": 0.5}, scales={"4.weight": -0.5}, factors={"2.weight": 1.0},
        output=-1.0, dropout={"1": 0.25}, epsilon=1e-3, full_precision=True,
    )  # fmt: skip
    ours, theirs = (_dropping(right, torch.bfloat16) for _ in range(2))
    correction.change_model(ours, 4.0)
    optimizer = right.optimizer(ours, 64)
    correction.change_optimizers(ours, [optimizer], 4.0)
    names = {"model": theirs, "optimizer": right.optimizer(theirs, 64), "width": 64, "torch": torch}
    exec(code_of(correction, 16), names)
    inputs = torch.randn(5, 6)
    torch.testing.assert_close(ours(inputs), theirs(inputs))
    assert not torch.equal(ours(inputs), _dropping(right, torch.float32)(inputs))
    assert ours[1].p == theirs[1].p == 0.25
    rates = _rates(ours, optimizer)
    assert rates == _rates(theirs, names["optimizer"])
    assert rates["2.weight"] == pytest.approx((0.01 * 16 / 64 / 4, 1e-15)) and rates["0.bias"][0] == 0.02


def _dropping(right, dtype):
    torch.manual_seed(3)
    model = right.make(64)
    model[1] = torch.nn.Dropout(0.0)
    return model.eval().to(dtype)


def _rates(model, optimizer):
    names = {id(p): name for name, p in model.named_parameters()}
    groups = optimizer.param_groups
    return {names[id(p)]: (group["lr"], group["eps"]) for group in groups for p in group["params"]}


def test_the_scale_of_attention_is_changed_in_the_forward_pass_and_put_back():
    from widthwise.adapters.torch_attention import products_watched
    from widthwise.torch.correction import Correction
    from widthwise.torch.suggested_code import code_of

    correction, functional = Correction(attention=-0.5), torch.nn.functional
    q = torch.randn(2, 1, 3, 16, generator=torch.Generator().manual_seed(0))
    usual = functional.scaled_dot_product_attention
    with correction.attending(4.0):
        changed = functional.scaled_dot_product_attention(q, q, q)
        with products_watched() as seen:
            told = functional.scaled_dot_product_attention(q, q, q, scale=0.5)
    assert functional.scaled_dot_product_attention is usual
    torch.testing.assert_close(changed, usual(q, q, q, scale=16**-0.5 / 2))
    torch.testing.assert_close(told, usual(q, q, q, scale=0.25))
    torch.testing.assert_close(seen["block 0"] @ q, told)
    assert "scale=m**-0.5 * head_size**-0.5)" in code_of(correction, 16)


def test_of_a_whole_parametrization_every_tensor_is_corrected_once(wrong):
    """Its early and its late updates are one fault; the rate's power is that of the rules of width."""
    from widthwise.analysis.verdict import OWN, ClaimRow
    from widthwise.torch.candidates import _whole
    from widthwise.torch.task import Training, prepare

    training = Training(wrong.make, wrong.loss, wrong.optimizer, 0.01, 0.0, None, None)
    task = prepare(
        training,
        wrong.batches,
        widths=wrong.widths,
        seeds=2,
        steps=2,
        probes=None,
        device="cpu",
        recording={},
    )

    def row(tensor, quantity, step, off):
        where = {"tensor": tensor, "quantity": quantity, "until_step": step, "rule": "standard"}
        return ClaimRow(
            claim="scales", verdict="inconsistent", where=where, estimate=off, expected=0.0, depth=OWN
        )

    early, late = "update_effect_rms", 9
    rows = [
        row("2.weight", early, 2, 0.7),
        row("4.weight", "weight_rms", 0, 0.5),
        row("2.weight", early, late, 0.2),
    ]
    whole = _whole(task, rows)
    assert whole.rates == {"2.weight": -1.0} and whole.scales == {"4.weight": -0.5}


def test_a_correction_under_which_training_fails_leaves_the_verdict(wrong, tmp_path):
    def scheduler(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, [lambda step: 1.0] * 2)  # of two groups

    found = checked(wrong, tmp_path, scheduler=scheduler, suggest=True, seeds=2, steps=4)
    assert found.verdict == "inconsistent" and found.page.is_file()
    assert "add_param_group" not in found.suggestion, "what failed is not suggested"
