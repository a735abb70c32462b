"""Makes the goldens of optimisers and schedules.

    python optimizers.py ROOT

ROOT is the repository. Writes test/golden/training/optimizers.json: 20 steps of PyTorch's optimisers on a vector with given gradients, the
learning rates of its schedulers, and losses with their gradients. Not run by the tests. Needs torch 2.13.0.
"""
import json
import pathlib
import sys

import torch
import torch.nn.functional as F

root = pathlib.Path(sys.argv[1])
torch.manual_seed(7)
steps, size = 20, 6
start = torch.randn(size)
gradients = torch.randn(steps, size) * torch.tensor([1.0, 0.1, 1e-3, 10.0, 1.0, 0.0])

cases = [
    {"optimizer": "sgd", "rate": 0.1, "settings": {}},
    {"optimizer": "sgd", "rate": 0.1, "settings": {"momentum": 0.9, "weightDecay": 0.05}},
    {"optimizer": "sgd", "rate": 0.1, "settings": {"momentum": 0.9, "nesterov": True, "weightDecay": 5e-4}},
    {"optimizer": "adam", "rate": 0.01, "settings": {}},
    {"optimizer": "adam", "rate": 0.01, "settings": {"weightDecay": 0.1}},
    {"optimizer": "adam", "rate": 0.003, "settings": {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-4}},
    {"optimizer": "adamw", "rate": 0.01, "settings": {"weightDecay": 0.1}},
    {"optimizer": "sgd", "rate": 0.1, "settings": {"momentum": 0.9}, "clip": 1.5},
]
names = {"momentum": "momentum", "nesterov": "nesterov", "weightDecay": "weight_decay", "epsilon": "eps"}
for case in cases:
    settings = dict(case["settings"])
    options = {}
    if "beta1" in settings:
        options["betas"] = (settings.pop("beta1"), settings.pop("beta2"))
    options.update({names[key]: value for key, value in settings.items()})
    p = torch.nn.Parameter(start.clone())
    make = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[case["optimizer"]]
    if case["optimizer"] == "adamw" and "weight_decay" not in options:
        options["weight_decay"] = 0.0
    optimizer = make([p], lr=case["rate"], **options)
    path = []
    for g in gradients:
        p.grad = g.clone()
        if "clip" in case:
            torch.nn.utils.clip_grad_norm_([p], case["clip"])
        optimizer.step()
        path.append(p.detach().tolist())
    case["path"] = path


def rates(make, count):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(count):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


lr = torch.optim.lr_scheduler
schedules = [
    {"kind": "constant", "steps": 10, "factors": rates(lambda o: lr.ConstantLR(o, factor=1.0), 10)},
    {"kind": "cosine", "steps": 10, "factors": rates(lambda o: lr.CosineAnnealingLR(o, T_max=10), 10)},
    {"kind": "step", "steps": 9, "factors": rates(lambda o: lr.StepLR(o, step_size=3, gamma=0.1), 9)},
    {
        "kind": "cosine",
        "steps": 14,
        "warmup": 4,
        "factors": rates(
            lambda o: lr.SequentialLR(
                o, [lr.LinearLR(o, start_factor=0.25, total_iters=3), lr.CosineAnnealingLR(o, T_max=10)], milestones=[4]
            ),
            14,
        ),
    },
]

losses = []


def loss_case(kind, outputs, target, value, **more):
    value.backward()
    losses.append(
        {
            "loss": kind,
            "shape": list(outputs.shape),
            "outputs": outputs.detach().flatten().tolist(),
            "target": target.flatten().tolist(),
            "targetShape": list(target.shape),
            "value": value.item(),
            "gradient": outputs.grad.flatten().tolist(),
            **more,
        }
    )


def leaf(*shape, scale=3.0):
    return (torch.randn(*shape) * scale).requires_grad_()


x, y = leaf(4, 5), torch.tensor([1, 0, 4, 2])
loss_case("cross-entropy", x, y, F.cross_entropy(x, y))
x, y = leaf(2, 3, 7), torch.randint(0, 7, (2, 3))
loss_case("cross-entropy", x, y, F.cross_entropy(x.reshape(-1, 7), y.reshape(-1)))
x, y = leaf(2, 4, scale=200.0), torch.tensor([3, 1])
loss_case("cross-entropy", x, y, F.cross_entropy(x, y))
x, y = leaf(6, 1), torch.tensor([1.0, 0.0, 1.0, 1.0, 0.0, 0.0])
loss_case("binary", x, y, F.binary_cross_entropy_with_logits(x.reshape(-1), y))
x, y = leaf(3, scale=120.0), torch.tensor([1.0, 0.0, 1.0])
loss_case("binary", x, y, F.binary_cross_entropy_with_logits(x, y))
x, y = leaf(4, 1), torch.randn(4)
loss_case("mse", x, y, F.mse_loss(x.reshape(-1), y))
for temperature in (1.0, 4.0):
    x, y = leaf(3, 5), torch.randn(3, 5) * 2
    value = F.kl_div(F.log_softmax(x / temperature, -1), F.log_softmax(y / temperature, -1), log_target=True, reduction="batchmean")
    loss_case("divergence", x, y, value * temperature**2, temperature=temperature)

golden = {
    "header": {
        "what": "20 steps of optimisers with given gradients, learning-rate factors of schedulers, losses with their gradients",
        "source": f"torch {torch.__version__}, float32",
        "made": "python test/golden/make/optimizers.py ROOT",
        "toleranceRelative": 1e-5,
    },
    "start": start.tolist(),
    "gradients": gradients.tolist(),
    "cases": cases,
    "schedules": schedules,
    "losses": losses,
}
(root / "test/golden/training/optimizers.json").write_text(json.dumps(golden) + "\n")
