"""Runs `lucid.scratch.rl_util` of Lucid 0.3.10 on a model, in a process of its own.

    python -m tests.rl_util_oracle <lucid 0.3.10's folder> <model.pb> <npz in> <npz out>

The inputs hold `observations` (floats), `layer`, `later_layer`, `value` and `logits`
(tensor names). The outputs are named as in `tests/test_rl_util.py`.
"""

import sys

import numpy as np


def logit_1(t):
    return t[..., 1]


def outputs(rl_util, model, inputs):
    """What is compared, from either implementation."""
    observations = inputs["observations"]
    layer, later, value, logits = (
        str(inputs[name]) for name in ("layer", "later_layer", "value", "logits")
    )
    direction = np.linspace(-1, 1, int(inputs["n_later_channels"])).astype(np.float32)
    positions = np.array([[i % 3, (i + 1) % 3] for i in range(len(observations))])
    results = {
        "acts": rl_util.get_acts(model, layer, observations),
        "grad": rl_util.get_grad(model, value, observations),
        "attr": rl_util.get_attr(model, value, layer, observations, integrate_steps=5),
        "attr_logit": rl_util.get_attr(
            model, logits, layer, observations, score_fn=logit_1
        ),
        "attr_direction": rl_util.get_attr(
            model,
            later,
            layer,
            observations,
            act_dir=direction,
            act_poses=positions,
            integrate_steps=2,
        ),
        "grad_override": rl_util.get_grad(
            model, value, observations, override=rl_util.maxpool_override()
        ),
        "shape": np.array([n or -1 for n in rl_util.get_shape(model, layer)]),
    }
    for name, features in (("even", 4), ("odd", 3)):
        nmf = rl_util.LayerNMF(
            model, layer, observations, features=features, attr_layer_name=value
        )
        results[f"{name}_dirs"] = nmf.channel_dirs
        results[f"{name}_reduced"] = nmf.acts_reduced
        np.random.seed(1)
        results[f"{name}_multi_path"] = rl_util.get_multi_path_attr(
            model, value, layer, observations[:4], nmf, max_paths=3, integrate_steps=3
        )
        image, indices = nmf.vis_dataset(1, subdiv_mult=0.5, expand_mult=3)
        results[f"{name}_vis"], results[f"{name}_indices"] = image, np.array(indices)
        image, indices = nmf.vis_dataset_thumbnail(0, num_mult=2, expand_mult=4)
        results[f"{name}_thumb"] = image
        results[f"{name}_thumb_indices"] = np.array(indices)
        results[f"{name}_patch"] = nmf.get_patch(1, 0.5, 2.5, expand_mult=2)
        results[f"{name}_padded"] = nmf.padded_obses[:2]
    return results


def main(lucid_folder, model_path, inputs_path, outputs_path):
    sys.path.insert(0, lucid_folder)
    from lucid_rl.model import lucid_bridge

    rl_util = lucid_bridge.rl_util
    reducer = rl_util.ChannelReducer

    class ReducerOfItsTime(reducer):
        """scikit-learn of the article's age began from nndsvd."""

        def __init__(self, n_components):
            super().__init__(n_components, init="nndsvd", random_state=0)

    sys.modules["lucid.scratch.rl_util.nmf"].ChannelReducer = ReducerOfItsTime
    with np.load(inputs_path) as inputs:
        results = outputs(rl_util, lucid_bridge.load_model(model_path), dict(inputs))
    np.savez(outputs_path, **results)


if __name__ == "__main__":
    main(*sys.argv[1:])
