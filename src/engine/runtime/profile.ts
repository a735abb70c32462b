import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

/** The CPU as named in profiles. */
export const cpuProvider = 'CPUExecutionProvider';

/** One run of one node, from ONNX Runtime's profile. */
export interface NodeRun {
  readonly node: string;
  readonly operator: string;
  /** As spelled by ONNX Runtime: `CPUExecutionProvider`, `CUDAExecutionProvider`, `WebGpuExecutionProvider`, ... */
  readonly provider: string;
  /**
   * Time on the host. A GPU works after the call has returned, so for its nodes this is the time to launch the work, and a copy back to the
   * host also waits for everything before it.
   */
  readonly microseconds: number;
  /** Types and shapes of the outputs, as JSON. */
  readonly outputs: string;
}

/** The work of one provider in a profile. */
export interface ProviderShare {
  readonly provider: string;
  /** Distinct nodes, including those in bodies of Loop, Scan and If. */
  readonly nodes: number;
  readonly runs: number;
  readonly milliseconds: number;
  /** Share of the time of all providers, 0 to 1. */
  readonly share: number;
  /** Operators, longest time first. */
  readonly operators: readonly string[];
}

interface ProfileEvent {
  readonly cat?: string;
  readonly name?: string;
  readonly dur?: number;
  readonly args?: { readonly op_name?: string; readonly provider?: string; readonly output_type_shape?: unknown };
}

/** Nodes whose time is the time of the nodes in their bodies. */
const holders: ReadonlySet<string> = new Set(['Loop', 'Scan', 'If']);
const suffix = '_kernel_time';

/**
 * Runs of nodes in a profile of ONNX Runtime, in order. The file is read line by line (one event per line): the profile of a long run does
 * not fit in a JavaScript string.
 */
export function* readProfile(path: string): Generator<NodeRun> {
  for (const line of linesOf(path)) {
    if (!line.includes(suffix)) continue;
    const event = parseEvent(line);
    const { cat, name, dur, args } = event ?? {};
    if (cat !== 'Node' || !name?.endsWith(suffix) || args?.op_name === undefined || args.provider === undefined) continue;
    yield {
      node: name.slice(0, -suffix.length),
      operator: args.op_name,
      provider: args.provider,
      microseconds: dur ?? 0,
      outputs: JSON.stringify(args.output_type_shape),
    };
  }
}

/** An event; undefined for the brackets around them and a truncated last line. */
function parseEvent(line: string): ProfileEvent | undefined {
  try {
    return JSON.parse(line.trim().replace(/,$/, '')) as ProfileEvent;
  } catch {
    return undefined;
  }
}

function* linesOf(path: string): Generator<string> {
  const file = openSync(path, 'r');
  const decoder = new StringDecoder('utf8');
  const bytes = Buffer.alloc(1 << 20);
  let rest = '';
  try {
    for (let read = readSync(file, bytes); read > 0; read = readSync(file, bytes)) {
      const lines = (rest + decoder.write(bytes.subarray(0, read))).split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
    if (rest !== '') yield rest;
  } finally {
    closeSync(file);
  }
}

/** Time and nodes by provider, longest time first. Loop, Scan and If count as nodes; their time is that of their bodies. */
export function shareByProvider(runs: Iterable<NodeRun>): readonly ProviderShare[] {
  const providers = new Map<
    string,
    { readonly nodes: Set<string>; readonly operators: Map<string, number>; runs: number; microseconds: number }
  >();
  for (const { node, operator, provider, microseconds } of runs) {
    const own = providers.get(provider) ?? { nodes: new Set(), operators: new Map(), runs: 0, microseconds: 0 };
    providers.set(provider, own);
    const time = holders.has(operator) ? 0 : microseconds;
    own.nodes.add(node);
    own.runs += 1;
    own.microseconds += time;
    own.operators.set(operator, (own.operators.get(operator) ?? 0) + time);
  }
  const total = [...providers.values()].reduce((sum, { microseconds }) => sum + microseconds, 0);
  return [...providers]
    .sort(([, a], [, b]) => b.microseconds - a.microseconds)
    .map(([provider, { nodes, operators, runs: count, microseconds }]) => ({
      provider,
      nodes: nodes.size,
      runs: count,
      milliseconds: microseconds / 1000,
      share: total === 0 ? 0 : microseconds / total,
      operators: [...operators].sort(([, a], [, b]) => b - a).map(([operator]) => operator),
    }));
}
