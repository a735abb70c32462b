import { toLoomweightError } from '../../src/protocol/errors';
import { SeededRandom } from '../../src/common/random';
import { mutated } from './mutate';
import type { FuzzedReader } from './readers';

/** An input on which a reader did not keep its promise. */
export interface Finding {
  readonly reader: string;
  readonly why: string;
  readonly bytes: Uint8Array;
}

/** What came of the inputs of one reader. */
export interface FuzzCounts {
  readonly reader: string;
  readonly inputs: number;
  readonly refused: number;
  readonly seconds: number;
  readonly findings: readonly Finding[];
}

/** An input of some kilobytes that takes longer, or claims more bytes outside of the heap, is a finding. */
const longestMs = 10_000;
const mostBytes = 512 * 2 ** 20;
/** Findings kept for each reader: the first ones tell the kind. */
const mostFindings = 20;

/** Reads one input. Undefined for values or an error about the input; else what is wrong. `refused` is told of errors. */
async function judge(
  reader: FuzzedReader,
  bytes: Uint8Array,
  { index, known }: { readonly index: number; readonly known: boolean },
  refused: () => void,
): Promise<string | undefined> {
  const before = process.memoryUsage().arrayBuffers;
  const started = performance.now();
  let why: string | undefined;
  try {
    await reader.read(bytes, index, known);
  } catch (thrown) {
    refused();
    const error = toLoomweightError(thrown);
    if (error.code === 'internal' || error.code === 'runtime')
      why = `${error.code}: ${(thrown as Error).stack?.split('\n').slice(0, 4).join(' | ') ?? error.message}`;
  }
  if (performance.now() - started > longestMs) why ??= `${Math.round(performance.now() - started)} ms`;
  if (process.memoryUsage().arrayBuffers - before > mostBytes) why ??= 'too much memory';
  return why;
}

/** Runs inputs of past crashes, then mutations of the seeds until `until` says that it is enough. The same random seed makes the same inputs. */
export async function fuzz(
  reader: FuzzedReader,
  corpus: readonly Uint8Array[],
  randomSeed: number,
  until: (inputs: number) => boolean,
): Promise<FuzzCounts> {
  const random = new SeededRandom(randomSeed);
  const findings: Finding[] = [];
  let inputs = 0;
  let refused = 0;
  const started = performance.now();
  const one = async (bytes: Uint8Array, known: boolean) => {
    const why = await judge(reader, bytes, { index: inputs, known }, () => (refused += 1));
    inputs += 1;
    if (why !== undefined && findings.length < mostFindings) findings.push({ reader: reader.name, why, bytes });
  };
  for (const bytes of corpus) await one(bytes, true);
  const seedOf = () => reader.seeds[random.nextBelow(reader.seeds.length)] as Uint8Array;
  while (!until(inputs)) await one(mutated(seedOf(), seedOf(), random), false);
  return { reader: reader.name, inputs, refused, seconds: (performance.now() - started) / 1000, findings };
}
