import { describe, expect, test } from 'vitest';
import { differentiate, type CustomGradient } from '../../../src/engine/autodiff/differentiate';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import type { DifferentiableOperator, GradientTable } from '../../../src/engine/graph/gradient';
import type { Value } from '../../../src/engine/graph/graph';
import { verifyGraph } from '../../../src/engine/graph/verifier';
import { operators } from '../../../src/engine/ops/index';
import { interpret, referenceTensor } from '../../support/interpreter/interpreter';

const scalar = { dtype: 'float64', shape: [] } as const;

/** Values of the named outputs of a graph of scalars. */
function evaluate(build: GraphBuilder, feeds: Readonly<Record<string, number>>, outputs: Readonly<Record<string, Value | undefined>>) {
  for (const [name, value] of Object.entries(outputs)) if (value) build.output(value, name);
  const graph = build.finish();
  verifyGraph(graph, operators);
  const tensors = Object.entries(feeds).map(([name, value]) => [name, referenceTensor('float64', [], [value])] as const);
  const found = interpret(graph, Object.fromEntries(tensors));
  return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data[0] as number]));
}

function scalars(...names: readonly string[]): { readonly build: GraphBuilder; readonly values: readonly Value[] } {
  const build = new GraphBuilder(operators, 'graph');
  return { build, values: names.map((name) => build.input(name, scalar)) };
}

const rules = operators;

describe('differentiate', () => {
  test('gradients of a value that is used more than once are added up', () => {
    const { build, values } = scalars('x');
    const [x] = values as [Value];
    // y = x x + x, and x again through a branch: 2x + 1 + cos x.
    const y = build.op('Add', [build.op('Add', [build.op('Mul', [x, x]), x]), build.op('Sin', [x])]);
    const [dx] = differentiate(build, y, [x], { rules });
    expect(evaluate(build, { x: 0.7 }, { dx })['dx']).toBeCloseTo(2 * 0.7 + 1 + Math.cos(0.7), 12);
  });

  test('gradients of inner values and of the target itself', () => {
    const { build, values } = scalars('x');
    const [x] = values as [Value];
    const inside = build.op('Exp', [x]);
    const y = build.op('Mul', [inside, inside]);
    const [dx, dInside, dy] = differentiate(build, y, [x, inside, y], { rules });
    const found = evaluate(build, { x: 0.3 }, { dx, dInside, dy });
    expect(found['dx']).toBeCloseTo(2 * Math.exp(0.6), 12);
    expect(found['dInside']).toBeCloseTo(2 * Math.exp(0.3), 12);
    expect(found['dy']).toBe(1);
  });

  test('undefined if the target does not depend on a value, or only through a step function', () => {
    const { build, values } = scalars('x', 'other', 'stepped');
    const [x, other, stepped] = values as [Value, Value, Value];
    build.op('Mul', [other, other]);
    const y = build.op('Add', [build.op('Mul', [x, x]), build.op('Floor', [stepped])]);
    const before = build.nodesSoFar().length;
    expect(differentiate(build, y, [other, stepped], { rules })).toEqual([undefined, undefined]);
    expect(build.nodesSoFar().length - before).toBeLessThanOrEqual(1);
    expect(differentiate(build, y, [x], { rules })[0]).toBeDefined();
  });

  test('parts that do not depend on the requested values cost nothing', () => {
    const { build, values } = scalars('x', 'free');
    const [x, free] = values as [Value, Value];
    const y = build.op('Mul', [build.op('Erf', [build.op('Gelu', [free])]), x]);
    const before = build.nodesSoFar().length;
    differentiate(build, y, [x], { rules });
    expect(
      build
        .nodesSoFar()
        .slice(before)
        .map((node) => node.op)
        .filter((op) => op !== 'CastLike'),
    ).toEqual(['Mul']);
  });

  test('a custom gradient replaces the rules inside its region', () => {
    const { build, values } = scalars('x', 'scale');
    const [x, scale] = values as [Value, Value];
    // Straight through: round(x / scale) * scale passes its gradient to x; the scale gets the rounding error.
    const ratio = build.op('Div', [x, scale]);
    const steps = build.op('Round', [ratio]);
    const rounded = build.op('Mul', [steps, scale]);
    const straight: CustomGradient = {
      output: rounded,
      inputs: [x, scale],
      gradient: (inner, dy) => [dy, inner.op('Mul', [dy, inner.op('Sub', [steps, ratio])])],
    };
    const y = build.op('Mul', [rounded, rounded]);
    const [dx, dScale] = differentiate(build, y, [x, scale], { rules, custom: [straight] });
    const found = evaluate(build, { x: 0.7, scale: 0.5 }, { dx, dScale });
    expect(found['dx']).toBeCloseTo(2 * 0.5, 12);
    expect(found['dScale']).toBeCloseTo(2 * 0.5 * (1 - 1.4), 12);
  });

  test('no gradient enters a region that returns none', () => {
    const { build, values } = scalars('x');
    const [x] = values as [Value];
    const region = build.op('Mul', [build.op('Exp', [x]), x]);
    const y = build.op('Add', [region, x]);
    const stopped: CustomGradient = { output: region, inputs: [x], gradient: () => [undefined] };
    const [dx] = differentiate(build, y, [x], { rules, custom: [stopped] });
    expect(evaluate(build, { x: 0.4 }, { dx })['dx']).toBe(1);
  });

  test('second and third derivatives, because rules are made of operators that have rules', () => {
    const { build, values } = scalars('x');
    const [x] = values as [Value];
    // x^3 tanh x
    const y = build.op('Mul', [build.op('Mul', [x, build.op('Mul', [x, x])]), build.op('Tanh', [x])]);
    const [first] = differentiate(build, y, [x], { rules }) as [Value];
    const [second] = differentiate(build, first, [x], { rules }) as [Value];
    const [third] = differentiate(build, second, [x], { rules }) as [Value];
    const found = evaluate(build, { x: 0.6 }, { first, second, third });
    const [v, t] = [0.6, Math.tanh(0.6)];
    const s = 1 - t * t;
    expect(found['first']).toBeCloseTo(3 * v ** 2 * t + v ** 3 * s, 11);
    expect(found['second']).toBeCloseTo(6 * v * t + 6 * v ** 2 * s - 2 * v ** 3 * t * s, 11);
    expect(found['third']).toBeCloseTo(6 * t + 18 * v * s - 18 * v ** 2 * t * s + v ** 3 * (-2 * s * s + 4 * t * t * s), 11);
  });

  test('mixed second derivatives agree: d2y/dx dz = d2y/dz dx', () => {
    const { build, values } = scalars('x', 'z');
    const [x, z] = values as [Value, Value];
    const y = build.op('Mul', [build.op('Exp', [build.op('Mul', [x, z])]), build.op('Sigmoid', [z])]);
    const [dx, dz] = differentiate(build, y, [x, z], { rules }) as [Value, Value];
    const [xz] = differentiate(build, dx, [z], { rules });
    const [zx] = differentiate(build, dz, [x], { rules });
    const found = evaluate(build, { x: 0.3, z: -0.8 }, { xz, zx });
    expect(found['xz']).toBeCloseTo(found['zx'] as number, 12);
    const gate = 1 / (1 + Math.exp(0.8));
    expect(found['xz']).toBeCloseTo(Math.exp(-0.24) * (gate - 0.24 * gate - 0.8 * gate * (1 - gate)), 12);
  });
});

describe('what differentiate refuses', () => {
  test('a target that is not a scalar', () => {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: [2] });
    expect(() => differentiate(build, build.op('Exp', [x]), [x], { rules })).toThrow(/Only a scalar.*'Exp_output' of type float32\[2\]/);
  });

  test('an operator without a rule, by node and operator', () => {
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: [] });
    const bits = build.op('BitCast', [x], { to: int(1) }, { name: 'odd' });
    const y = build.op('Mul', [bits, x]);
    expect(() => differentiate(build, y, [x], { rules })).toThrow(/Node 'odd' \(BitCast\) cannot be differentiated/);
    // It is not evaluated if the gradient does not pass through it.
    expect(differentiate(build, build.op('Mul', [x, x]), [x], { rules })[0]?.type).toEqual(x.type);
  });

  test('a rule that returns a gradient of the wrong shape or type', () => {
    const wrong = (give: (build: GraphBuilder, dy: Value) => Value): GradientTable => ({
      get: (domain, name) => {
        const known = operators.get(domain, name) as DifferentiableOperator | undefined;
        if (name !== 'Neg' || !known) return known;
        return { ...known, gradient: ({ build, outputGradients: [dy] }) => [give(build, dy as Value)] };
      },
    });
    const build = new GraphBuilder(operators, 'graph');
    const x = build.input('x', { dtype: 'float32', shape: [3] });
    const y = build.op('ReduceSum', [build.op('Neg', [x])], { keepdims: int(0) });
    const ofShape = wrong((inner, dy) => inner.op('Reshape', [dy, inner.int64([3, 1])]));
    const ofType = wrong((inner, dy) => inner.op('Cast', [dy], { to: int(11) }));
    expect(() => differentiate(build, y, [x], { rules: ofShape })).toThrow(/'Neg' \(Neg\) for 'x' has type float32\[3, 1\].*float32\[3\]/);
    expect(() => differentiate(build, y, [x], { rules: ofType })).toThrow(/'Neg' \(Neg\) for 'x' has type float64\[3\].*float32\[3\]/);
  });
});
