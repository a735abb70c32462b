import type { WeightSource } from '../architectures/architecture';
import type { GraphBuilder } from '../graph/builder';
import type { Value } from '../graph/graph';
import type { TapKind } from './taps/tap';

/** A graph output that a tap made. */
export interface TapOutput {
  readonly kind: TapKind;
  /** Name of the output. */
  readonly output: string;
  readonly shape: readonly number[];
  /** Weights whose input it describes, by the names that the graph gives them. */
  readonly tensors: string[];
}

/**
 * A source of weights that adds graph outputs for what enters linear layers: what `wanted` names, each input computed once. `outputs` is complete
 * when the graph is.
 */
export function tappedWeights(
  inner: WeightSource,
  wanted: (name: string) => readonly TapKind[],
): { readonly weights: WeightSource; readonly outputs: readonly TapOutput[] } {
  const outputs: TapOutput[] = [];
  const made = new Map<Value, TapOutput[]>();
  const tap = (build: GraphBuilder, name: string, x: Value, columns: number): void => {
    const known = made.get(x) ?? [];
    made.set(x, known);
    for (const kind of wanted(name)) {
      const before = known.find((output) => output.kind === kind);
      if (before) {
        before.tensors.push(name);
        continue;
      }
      const output: TapOutput = { kind, output: `${kind.id}/${name}`, shape: kind.shape(columns), tensors: [name] };
      build.output(kind.sum(build, build.op('Reshape', [x, build.int64([-1, columns])])), output.output);
      known.push(output);
      outputs.push(output);
    }
  };
  return {
    outputs,
    weights: {
      ...inner,
      linear: (build, name, x, shape, biasName) => {
        tap(build, name, x, shape.in);
        return inner.linear(build, name, x, shape, biasName);
      },
    },
  };
}
