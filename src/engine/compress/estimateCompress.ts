import { transformNotes } from './keptTransforms';
import { elementCount } from '../../protocol/dtypes';
import type { CompressSpec } from '../../protocol/jobs';
import { estimateChoosing } from './budget/estimateChoosing';
import { findWriter } from '../outputs/writers';
import type { PlannedLayer } from '../outputs/planned/plannedStore';
import { estimateCalibrating } from './planning/estimateCalibrating';
import { storeLimit } from './planning/storeLimit';
import { float32Bytes, outputBytes } from '../outputs/writers/sizes';
import { layersOf, makePlan, prepareSource, type CompressPlan } from './plan';
import { roleNotes } from './roleNotes';
import { openSource, type ModelSource } from '../models/modelSource';
import { comparingSeconds } from '../outputs/verification/runningTime';
import { processBytes } from '../runtime/estimate';
import { fitsWhole, wholeModelBytes } from '../outputs/verification/wholeModelMemory';

/** What a compression will need, from headers alone. */
export interface CompressEstimate {
  readonly hostMemoryBytes: number;
  readonly diskBytes: number;
  readonly seconds: number;
  readonly notes: readonly string[];
}

/** What an estimate takes into account. */
export interface CompressEstimateContext {
  readonly provider?: string;
  readonly memoryLimit?: number;
}

/** Weights planned a second on one core, and bytes read or written a second; both on the low side. */
const weightsPerSecond = 25e6;
const bytesPerSecond = 300e6;

/**
 * Memory, disk and time of a compression. Memory is the larger of its phases: writing holds one tensor (source bytes, float32, codes, the turned codes and
 * the packed ones), checking blocks holds one block as float32, checking the whole model holds it several times and is skipped if that does not fit.
 */
export async function estimateCompress(spec: CompressSpec, context: CompressEstimateContext = {}): Promise<CompressEstimate> {
  const writer = findWriter(spec.format);
  const opened = await openSource(spec.model);
  try {
    const source = prepareSource(opened, spec);
    const plan = makePlan(source, spec);
    const layers = layersOf(plan);
    if (spec.budget === undefined) writer.check(source, layers);
    const written = writer.estimate(source, layers);
    const output =
      spec.budget === undefined || writer.dequantised
        ? written
        : { ...written, bytes: outputBytes(source, layers, underBudget(source, spec.budget)) };
    const choosing = spec.budget === undefined ? noChoosing : await estimateChoosing(spec, source, plan);
    const calibrating = estimateCalibrating(source, plan, spec, context.memoryLimit);
    const writing = largestTensorBytes(source, plan) + output.extraMemory;
    // Blocks are compared only where the plan changes some.
    const blocks = plan.size === 0 ? 0 : blockBytes(source);
    const weights = [...plan.values()].reduce((sum, { tensor }) => sum + tensor.shape[0] * tensor.shape[1], 0);
    const sourceBytes = [...source.tensors.values()].reduce((sum, { entry }) => sum + entry.bytes, 0);
    // Planned tensors: a byte for each code, and scales and zero points as float32 and bytes.
    const planned = [...layers.values()].reduce((sum, { layout, size }) => sum + plannedBytes(layout, size.scaleBits), 0);
    const resident = Math.min(planned, storeLimit(context.memoryLimit));
    const changes = plan.size > 0;
    const fits = fitsWhole(source, writer, { memoryLimit: context.memoryLimit, residentBytes: resident, changes });
    const whole = fits ? wholeModelBytes(source, writer, changes) : 0;
    const running = fits && changes && source.container.format === 'onnx' ? await comparingSeconds(source.container.path) : 0;
    return {
      hostMemoryBytes: Math.round(
        processBytes(float32Bytes(source)) +
          resident +
          Math.max(writing, blocks, whole, choosing.hostMemoryBytes, calibrating.hostMemoryBytes),
      ),
      // Codes of up to four bits take half a byte in the temporary file.
      diskBytes: output.bytes + (planned - resident) + calibrating.diskBytes + 2e6 + companionBytes,
      // Planned once; read for planning, for checking blocks and for hashing; written once and read back twice.
      seconds:
        1 +
        choosing.seconds +
        calibrating.seconds +
        running +
        weights / weightsPerSecond +
        (3 * sourceBytes + 3 * output.bytes) / bytesPerSecond,
      notes: [
        ...transformNotes(source, spec.tensors),
        ...source.notes,
        ...roleNotes(source, plan),
        ...choosing.notes,
        ...calibrating.notes,
        ...(fits || !(source.decoder || source.container.format === 'onnx')
          ? []
          : [
              source.decoder
                ? 'The result will be checked block by block: the whole model and its float original do not fit in memory together.'
                : 'Only the bytes of the result will be checked: running the model and its result does not fit in memory.',
            ]),
        ...(writer.dequantised && changes
          ? [
              `${writer.id} stores rounded weights in the type of the source, so the file is no smaller; onnx-packed and archive are smaller.`,
            ]
          : []),
      ],
    };
  } finally {
    await opened.container.close();
  }
}

/** Bytes of a tensor as large as the budget allows; less where the source has less. */
function underBudget({ tensors }: ModelSource, budget: number): (layer: PlannedLayer) => number {
  return ({ name, storedShape }) => Math.min(tensors.get(name)!.entry.bytes, Math.ceil((budget * elementCount(storedShape)) / 8));
}

/** Bytes of a planned matrix in memory. */
function plannedBytes(layout: PlannedLayer['layout'], scaleBits: number): number {
  if (layout.kind === 'plain') return 4 * elementCount(layout.shape);
  return layout.rows * layout.columns + (5 * scaleBits) / 16;
}

const noChoosing = { seconds: 0, hostMemoryBytes: 0, notes: [] };

/** Tokenizer, config and licence. */
const companionBytes = 20e6;

/** Arrays that planning and packing one tensor hold at the same time. */
function largestTensorBytes(source: ModelSource, plan: CompressPlan): number {
  let largest = 0;
  for (const [name, { tensor }] of plan) {
    const weights = tensor.shape[0] * tensor.shape[1];
    const { entry, transposed } = source.tensors.get(name)!;
    // Bytes as read; float32 (twice if transposed, and again until it is collected); codes, transposed codes, packed codes; scales and zero points.
    largest = Math.max(largest, entry.bytes + weights * 4 * (transposed ? 3 : 2) + weights * 3 + weights / 4);
  }
  return largest;
}

/** One block as float32, and the reading of its largest tensor. */
function blockBytes(source: ModelSource): number {
  if (!source.decoder) return 0;
  const { architecture, config } = source.decoder;
  let block = 0;
  let largest = 0;
  for (const tensor of architecture.expectedTensors(config)) {
    if (tensor.block !== 0) continue;
    const weights = tensor.shape.reduce((product, length) => product * length, 1);
    block += weights * 4;
    largest = Math.max(largest, weights);
  }
  // The transposes of the weights as they are used, and codes and scales of the tensor being read.
  return block + largest * 8;
}
