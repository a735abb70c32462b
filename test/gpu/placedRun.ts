import { encodeModel } from '../../src/engine/formats/onnx/encodeModel';
import type { Graph } from '../../src/engine/graph/graph';
import { findRuntimePackage, loadOrt } from '../../src/engine/runtime/loadOrt';
import { createSession } from '../../src/engine/runtime/session';
import type { RuntimeTensor } from '../../src/engine/runtime/types';
import { disagreement, numbersOf, relativeError, tolerances } from './compare';
import type { CaseResult, CheckedProvider } from './document';

/** A graph with what to feed it. */
export interface Case {
  readonly name: string;
  readonly graph: Graph;
  readonly feeds: Readonly<Record<string, RuntimeTensor>>;
  /** Outputs that mean something; default: all. */
  readonly outputs?: readonly string[];
  /** Values of the float64 interpreter for some outputs, with the error that is allowed. */
  readonly reference?: Readonly<Record<string, ArrayLike<number>>>;
}

type Outputs = Readonly<Record<string, RuntimeTensor>>;

/** Runs a case on the provider and on the CPU, as the engine does, and compares every output. */
export async function runCase(given: Case, provider: CheckedProvider): Promise<CaseResult> {
  const tolerance = tolerances[provider];
  const names = given.outputs ?? given.graph.outputs.map((output) => output.name);
  const expected = await run(given, 'cpu', names);
  if ('failure' in expected) return { name: given.name, placed: 'cpu', agrees: false, problem: `On the CPU: ${expected.failure}` };
  const actual = await run(given, provider, names);
  if ('failure' in actual) return { name: given.name, placed: 'provider', agrees: false, problem: actual.failure };
  const found = names.map((name) => disagreement(name, actual.outputs[name], expected.outputs[name] as RuntimeTensor, tolerance));
  const problems = found.flatMap(({ problem }) => problem ?? []);
  const referenceErrors = Object.entries(given.reference ?? {}).map(([name, values]) => {
    const output = actual.outputs[name];
    const error = output === undefined ? Infinity : relativeError(numbersOf(output), values);
    if (!(error <= tolerance)) problems.push(`${name} differs from the float64 reference by ${error.toExponential(1)}`);
    return error;
  });
  return {
    name: given.name,
    placed: provider === 'cpu' ? 'cpu' : actual.fellBack === undefined ? 'provider' : actual.wholly ? 'cpu' : 'mixed',
    ...(actual.fellBack === undefined ? {} : { fellBack: actual.fellBack }),
    ...largest(
      'error',
      found.map(({ error }) => error),
    ),
    ...largest('referenceError', referenceErrors),
    agrees: problems.length === 0,
    ...(problems.length === 0 ? {} : { problem: `${problems.join('; ')}.` }),
  };
}

/** The largest of what is known, or nothing. */
export function largest<Key extends string>(key: Key, errors: readonly (number | undefined)[]): { readonly [K in Key]?: number } {
  const known = errors.filter((error) => error !== undefined && Number.isFinite(error)) as readonly number[];
  return (known.length === 0 ? {} : { [key]: Math.max(...known) }) as { readonly [K in Key]?: number };
}

interface Ran {
  readonly outputs: Outputs;
  readonly fellBack?: readonly string[];
  /** Every operator of the graph is among those that fell back. */
  readonly wholly: boolean;
}

async function run(
  { name, graph, feeds }: Case,
  provider: CheckedProvider,
  names: readonly string[],
): Promise<Ran | { readonly failure: string }> {
  let fellBack: readonly string[] | undefined;
  try {
    const context = {
      ort: loadOrt(findRuntimePackage()),
      provider,
      threads: 1,
      onFallback: (_: string, found: readonly string[]) => (fellBack = found),
    };
    const session = await createSession(context, { name, model: encodeModel(graph) });
    try {
      const outputs = await session.run(
        Object.fromEntries(session.inputNames.map((input) => [input, feeds[input] as RuntimeTensor])),
        names,
      );
      const found = fellBack as readonly string[] | undefined;
      const wholly = found !== undefined && graph.nodes.every(({ op }) => found.includes(op));
      return { outputs, wholly, ...(found === undefined ? {} : { fellBack: found }) };
    } finally {
      await session.release();
    }
  } catch (error) {
    return { failure: (error instanceof Error ? error.message : String(error)).slice(0, 600) };
  }
}
