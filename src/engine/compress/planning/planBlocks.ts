import { throwIfCancelled } from '../../../protocol/errors';
import { blockTensors, headMatrixName } from '../../architectures/decoder/expectedTensors';
import { BlockRunner } from '../../blocks/blockRunner';
import { embedWindows } from '../../blocks/embedTokens';
import { headStatistics } from '../../blocks/headStatistics';
import { HiddenStates } from '../../blocks/hiddenStates';
import type { Statistic, Statistics } from '../../blocks/taps/tap';
import { walkBlocks } from '../../blocks/walkBlocks';
import type { Products } from '../../kernels/host/secondOrder/subtractProduct';
import { containerWeights } from '../../models/decoderWeights';
import type { SourceDecoder } from '../../models/recognizeDecoder';
import type { WeightReader } from '../../models/weightReader';
import { plannedWeights } from '../../outputs/planned/plannedWeights';
import type { WorkContext } from '../../runtime/workContext';
import type { TensorPlan } from '../plan';
import type { Quantizer } from '../quantizers/quantizer';
import { addPlanned } from './addPlanned';
import { calibrationNote, calibrationWindows } from './calibrationWindows';
import { hiddenLimit } from './hiddenLimit';
import type { Planning, PlanningProgress } from './planning';
import { offerOf } from './planTensors';
import { requireDecoder } from './requireDecoder';
import { RuntimeProducts } from './runtimeProducts';
import { readMatrix, storedValues } from './sourceReader';

/**
 * Plans a language model block after block: the calibration tokens run through a block, the statistics that the method needs are gathered at its linear layers, the
 * method plans all of the block's tensors at once, and the next block gets the outputs of the planned weights (or of the source's, as the method says). Embedding and
 * head come last. Memory is one block, its statistics and the hidden states, which go to a file beyond a share of the limit.
 * Errors: `unsupported` for a model that is not a decoder that can be built, those of the method, `cancelled`.
 */
export async function planBlocks(planning: Planning, context: WorkContext, progress: PlanningProgress): Promise<void> {
  const { source, plan, store, folder } = planning;
  const quantizer = [...plan.values()][0]?.quantizer;
  if (!quantizer) return;
  const decoder = requireDecoder(source, quantizer);
  const { config } = decoder;
  const sample = await calibrationWindows(source.container, config, planning, context.seed);
  const { windows, length, ids } = sample;
  context.note(calibrationNote(quantizer.label, sample, planning));
  const memoryBytes = hiddenLimit(context.memoryLimit);
  const hidden = await HiddenStates.create({ windows, length, hiddenSize: config.hiddenSize }, { memoryBytes, folder });
  const weights = containerWeights(source.container);
  const runner = new BlockRunner(config, context, { windowsPerRun: 1, resident: false });
  const products = new RuntimeProducts(context.runtime);
  const count = counter(progress);
  let last: HiddenStates | undefined;
  try {
    await embedWindows(weights, config, ids, hidden, windows);
    last = await walkBlocks({
      runner,
      config,
      weights,
      hidden,
      taps: quantizer.needs.map((kind) => ({ kind })),
      propagate: quantizer.propagate ?? 'result',
      visit: async (block, statistics) => {
        const members = blockTensors(config, block).map(({ name }) => name);
        const planned = members.flatMap((name) => plan.get(name) ?? []);
        if (planned.length === 0) return undefined;
        await planTogether(planning, quantizer, planned, (name) => statistics.get(name), context, products);
        for (const { tensor } of planned) count(tensor.name);
        return { weights: plannedWeights(store, weights), changed: new Set(members.filter((name) => store.has(name))) };
      },
    });
    await planOutside(planning, decoder, quantizer, { weights, hidden: last, context, products, count });
  } finally {
    // A walk that fails closes the states itself; closing twice does no harm.
    await (last ?? hidden).close();
    await runner.release();
    await products.release();
  }
}

/** Embedding and head, each alone: the head with the statistics of what enters it. */
async function planOutside(
  planning: Planning,
  { config }: SourceDecoder,
  quantizer: Quantizer,
  run: {
    readonly weights: WeightReader;
    readonly hidden: HiddenStates;
    readonly context: WorkContext;
    readonly products: Products;
    readonly count: (name: string) => void;
  },
): Promise<void> {
  const head = headMatrixName(config);
  for (const [name, planned] of planning.plan) {
    if (planning.store.has(name)) continue;
    throwIfCancelled(run.context.signal);
    const { weights, hidden, context, products } = run;
    const gathered: ReadonlyMap<string, Statistic> | undefined =
      name === head && quantizer.needs.length > 0
        ? await headStatistics({ config, weights, hidden, kinds: quantizer.needs, windowsPerRun: 1 }, context)
        : undefined;
    await planTogether(planning, quantizer, [planned], () => gathered, context, products);
    run.count(name);
  }
}

async function planTogether(
  { source, plan, store, threads }: Planning,
  quantizer: Quantizer,
  members: readonly TensorPlan[],
  statisticsOf: (name: string) => ReturnType<Statistics['get']>,
  { signal, note }: WorkContext,
  products: Products,
): Promise<void> {
  throwIfCancelled(signal);
  const weights = new Map<string, Float32Array>();
  for (const { tensor } of members) weights.set(tensor.name, await readMatrix(source, tensor));
  const made = await quantizer.planBlock({
    tensors: members.map((planned) => ({ ...offerOf(planned), weights: weights.get(planned.tensor.name) as Float32Array })),
    statisticsOf,
    read: (name) => storedValues(source, name),
    signal,
    note,
    products,
    threads,
  });
  await addPlanned(source, store, plan, made, weights);
}

function counter(progress: PlanningProgress): (name: string) => void {
  let done = 0;
  return (name) => progress((done += 1), name);
}
