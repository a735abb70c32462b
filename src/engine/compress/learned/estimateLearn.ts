import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { elementCount } from '../../../protocol/dtypes';
import type { LearnSpec } from '../../../protocol/jobs';
import { isTextData } from '../../../protocol/learnDefaults';
import { tableNeeds, tableNotes } from '../../evaluate/data/tableMemory';
import { checkDataHeaders } from '../../evaluate/data/checkDataHeaders';
import { checkpointFolderOf } from '../../train/checkpointFolder';
import { refuseOwned } from '../../train/checkpointOwner';
import { refuseCheckpoint } from '../../train/refuseCheckpoint';
import { overwritesState } from '../../train/overwriting';
import { processBytes } from '../../runtime/estimate';
import { allNodes } from '../../graph/passes/settings';
import { readableGraph } from '../../evaluate/readableGraph';
import { findWeightMethod } from '../../train/methods/index';
import { refuseInPlace } from '../../models/refuseInPlace';
import { openSource, withoutHeadCopy } from '../../models/modelSource';
import { checkFormats } from './checkFormats';

/** What a training will need, from headers alone. */
export interface LearnEstimate {
  readonly hostMemoryBytes: number;
  readonly diskBytes: number;
  readonly seconds: number;
  readonly notes: readonly string[];
}

/**
 * Copies of the state (weights and an optimiser's slots) at the end of a run: the arrays that went in, two steps of the Loop, and what the runtime's binding copies out;
 * another one for the output unless it overwrites the input.
 */
const stateCopies = { overwritten: 4, kept: 5 };
/** Multiply-adds a second that training reaches on two cores, on the low side; forward and backward together take 3 times the forward pass. */
const workPerSecond = 40e9;

/**
 * Memory, disk and time of learning. Activations of a step are counted: for language models by batch x window tokens, with the logits; for others from the shapes in
 * the graph. The time is an allowance: it is measured as soon as training runs.
 */
export async function estimateLearn(spec: LearnSpec): Promise<LearnEstimate> {
  const { workingCopies } = findWeightMethod(spec.method);
  await refuseInPlace(spec);
  const checkpoint = checkpointFolderOf(spec);
  await refuseOwned(checkpoint);
  await refuseCheckpoint(checkpoint, spec);
  const source = withoutHeadCopy(await openSource(spec.model));
  try {
    checkFormats(spec, source);
    const { graph } = source.container;
    if (graph && !isTextData(spec.data)) await checkDataHeaders(spec.data, 'train', graph.inputs);
    const parameters = [...source.tensors.values()].reduce((sum, { entry }) => sum + elementCount(entry.shape), 0);
    const config = source.decoder?.config;
    const tokens = spec.batch * (isTextData(spec.data) ? (spec.window ?? 256) : 1);
    // Per token and layer some 34 hidden-sized values live until the backward pass; logits, their softmax and their gradient.
    const activations = config
      ? tokens *
        4 *
        (config.layers * 34 * config.hiddenSize + config.layers * 2 * config.heads * (spec.window ?? 256) + 4 * config.vocabularySize)
      : 4 * (await activationsOf(source.container.path, spec.batch));
    const dataBytes = await sizeOf(spec.data);
    const training = (copiesOfState(spec, parameters) + workingCopies) * 4 * parameters + activations + 2 * dataBytes;
    // A table is read once, while the model is open, before training begins.
    const table = await tableNeeds(spec.data);
    return {
      hostMemoryBytes: Math.round(processBytes(4 * parameters) + Math.max(training + table.kept, 4 * parameters + table.reading)),
      // Each format is at most float32; the checkpoint holds weights, slots and the best state, and while the next one is written there are two.
      diskBytes: Math.round(spec.formats.length * 4 * parameters + 2 * (carriedCopies(spec) + 1) * 4 * parameters + 25e6),
      seconds: Math.round(5 + (3 * spec.steps * Math.max(tokens, 1) * parameters) / workPerSecond),
      notes: ['The training time is a rough allowance; the running job reports the measured time.', ...tableNotes(table.reading)],
    };
  } finally {
    await source.container.close();
  }
}

/** Numbers that a step on a batch holds of what the nodes of a graph give: the values, their gradients, and as much in between. */
async function activationsOf(path: string, batch: number): Promise<number> {
  const graph = await readableGraph(path);
  const lengthOf = (length: number | string | undefined): number => (typeof length === 'number' ? length : batch);
  const shapes = graph ? allNodes(graph).flatMap(({ outputs }) => outputs.map((output) => output?.type.shape ?? [])) : [];
  return 3 * shapes.reduce((sum, shape) => sum + shape.reduce<number>((product, length) => product * lengthOf(length), 1), 0);
}

/** Copies of the weights that a training carries from step to step: themselves and the optimiser's slots. */
function carriedCopies({ optimizer, momentum = 0 }: LearnSpec): number {
  return 1 + (optimizer === 'adam' ? 2 : momentum === 0 ? 0 : 1);
}

/** Copies of the weights that are state, in float32, at the peak of a training on a processor; on another device the host holds less. */
function copiesOfState(spec: LearnSpec, parameters: number): number {
  const carried = carriedCopies(spec);
  return carried * (overwritesState('cpu', carried * 4 * parameters) ? stateCopies.overwritten : stateCopies.kept);
}

/** Bytes of a file, of the arrays in a folder, or of all texts of a mixture. Missing files count 0: reading them gives the error. */
async function sizeOf(data: string): Promise<number> {
  const sizes = await Promise.all(
    (isTextData(data) ? data.split(',') : [data]).map(async (part) => {
      const path = part.trim().replace(/(?<=\.\w+):[\d.]+$/, '');
      const status = await stat(path).catch(() => undefined);
      if (!status?.isDirectory()) return status?.size ?? 0;
      const files = (await readdir(path)).filter((name) => name.endsWith('.npy'));
      const each = await Promise.all(files.map(async (name) => (await stat(join(path, name))).size));
      return each.reduce((sum, size) => sum + size, 0);
    }),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
