import { dequantizeLearned } from '../../../src/engine/formats/archive/dequantizeLearned';
import type { LearnedTensor } from '../../../src/engine/formats/archive/learnedTensor';
import { canonicalOrder, heldOrder, planFor, stateOf, type SmallWeight } from '../methodStep';
import { product, trainedLinear } from './diffqFixedWidths';
import { float32Of, inputTensor, numberParam, type GoldenRunner } from './golden';

/** One forward and backward pass of a linear layer with given noise, and its outputs with truly rounded weights. */
export const diffqTrainStep: GoldenRunner = async (golden, check) => {
  const weight: SmallWeight = { name: 'w', shape: inputTensor(golden, 'w').shape, weights: float32Of(inputTensor(golden, 'w')) };
  const [outputs, inputs] = weight.shape as [number, number];
  const size = numberParam(golden, 'group_size');
  const plan = planFor(
    'diffq',
    [weight],
    {
      groupSize: size,
      minBits: golden.params['min_bits'],
      maxBits: golden.params['max_bits'],
      initBits: golden.params['init_bits'],
      parametrisation: golden.params['param'],
      noise: golden.params['noise'],
      settle: 0,
      clipRange: 0,
    },
    { penalty: numberParam(golden, 'lambda') },
  );
  // Groups in canonical order are [outputs, inputs / size]; the graph holds [inputs / size, 1, outputs].
  const perGroup = { shape: [outputs, inputs / size] };
  const variables = { 'logits/w': heldOrder(perGroup, float32Of(inputTensor(golden, 'logit'))) };
  // The golden's noise is what is multiplied by the step; the method scales gaussian noise by a half itself.
  const scale = golden.params['noise'] === 'gaussian' ? 2 : 1;
  const noise = heldOrder(weight, float32Of(inputTensor(golden, 'eps'))).map((value) => value * scale);
  const results = await trainedLinear(golden, {
    plan,
    weight,
    variables,
    noise: () => noise,
    penalty: numberParam(golden, 'lambda'),
  });
  const empty = new Float32Array();
  check.compare('noisy_w', canonicalOrder(weight, results['w'] ?? empty));
  check.compare('y_train', results['y'] ?? empty);
  check.compare('task_loss', results['task'] ?? empty);
  check.compare('loss', results['target'] ?? empty);
  check.compare('grad_w', canonicalOrder(weight, results['gradient/w'] ?? empty));
  check.compare('grad_logit', canonicalOrder(perGroup, results['gradient/logits/w'] ?? empty));
  const [realized] = plan.realize(stateOf(plan, [weight], variables)) as [LearnedTensor];
  check.compare('y_eval_quantized', product(float32Of(inputTensor(golden, 'x')), dequantizeLearned(realized), inputs));
};
