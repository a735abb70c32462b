import { elementCount } from '../../src/protocol/dtypes';
import type { WeightMethod } from '../../src/engine/train/contract';

/**
 * A method for tests that uses every part of what a method may use: both kinds of noise, a variable trained as the weights, logits with a size and a penalty, a carried
 * variable, work on the host between steps, and a straight-through stretch. It makes no sense as a method.
 */
export const noisyMethod: WeightMethod = {
  id: 'noisy',
  label: 'Noisy',
  summary: 'Uses everything that a method may use.',
  source: { title: 'Tests', url: 'https://example.org' },
  parameters: [],
  learnsWidths: true,
  workingCopies: 10,
  plan: ({ parameters, logitRate }) => {
    const matrices = parameters.filter(({ shape }) => shape.length >= 2);
    const name = (parameter: { readonly name: string }, what: string): string => `${what}/${parameter.name}`;
    return {
      quantized: matrices.map((parameter) => parameter.name),
      variables: [
        ...matrices.map((parameter) => ({
          name: name(parameter, 'logits'),
          shape: [1],
          initial: Float32Array.of(0.5),
          group: 'logits',
        })),
        ...matrices.map((parameter) => ({
          name: name(parameter, 'scale'),
          shape: [1],
          initial: Float32Array.of(1),
          group: 'plain',
        })),
        { name: 'mean', shape: [2], initial: Float32Array.of(0, 0), group: undefined },
        { name: 'threshold', shape: [1], initial: Float32Array.of(0.01), group: undefined },
      ],
      groups: { logits: { optimizer: 'adam', rate: logitRate, schedule: 'constant' } },
      forward: (step, weights) => {
        const { build } = step;
        const scale = build.op('Mul', [step.variable('threshold'), build.float32(0.5)]);
        const made = matrices.map((parameter) => {
          const gaussian = step.noise(`${parameter.name}/g`, parameter.heldShape, 'gaussian');
          const uniform = step.noise(`${parameter.name}/u`, parameter.heldShape, 'uniform');
          const noise = build.op('Mul', [build.op('Add', [gaussian, uniform]), scale]);
          const width = build.op('Sigmoid', [step.variable(name(parameter, 'logits'))]);
          const scaled = build.op('Mul', [weights(parameter.name), step.variable(name(parameter, 'scale'))]);
          const rounded = build.op('Round', [build.op('Mul', [scaled, build.float32(1024)])]);
          const near = build.op('Mul', [rounded, build.float32(1 / 1024)]);
          step.custom({ output: near, inputs: [scaled], gradient: (_build, gradient) => [gradient] });
          return [parameter.name, build.op('Add', [near, build.op('Mul', [noise, width])])] as const;
        });
        const widths = matrices.map((parameter) => build.op('Sigmoid', [step.variable(name(parameter, 'logits'))]));
        const sum = build.op('Squeeze', [build.op('Sum', widths)]);
        const seen = build.op(
          'Concat',
          [build.op('Reshape', [step.step, build.int64([1])]), build.op('Reshape', [sum, build.int64([1])])],
          {
            axis: { kind: 'int', value: 0 },
          },
        );
        return {
          weights: Object.fromEntries(made),
          size: sum,
          metrics: { size: sum },
          carry: {
            mean: build.op('Add', [build.op('Mul', [step.variable('mean'), build.float32(0.5)]), seen]),
            threshold: step.variable('threshold'),
          },
        };
      },
      refresh: {
        every: 8,
        apply: (state, step) => ({ threshold: Float32Array.of((state.variable('threshold')[0] as number) + step / 1e4) }),
      },
      realize: (state) =>
        matrices.map((parameter) => {
          const values = state.parameter(parameter.name);
          const count = elementCount(parameter.shape);
          return {
            name: parameter.name,
            shape: parameter.shape,
            transposed: parameter.storedTransposed,
            groupSize: 0,
            bits: Uint8Array.of(8),
            minimum: Math.min(...values),
            maximum: Math.max(...values),
            levels: new Uint16Array(count),
            bitsOfWidth: 0,
          };
        }),
      sizes: () => ({ estimatedBits: 1, trueBits: 1 }),
    };
  },
};
