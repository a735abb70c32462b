import { throwIfCancelled } from '../../protocol/errors';
import type { DecoderConfig } from '../architectures/architecture';
import { finalNormName } from '../architectures/decoder/expectedTensors';
import { headLossGraph } from '../architectures/decoder/streamingGraphs';
import type { TensorContainer } from '../formats/container';
import { decodeToFloat32 } from '../formats/decode';
import type { Runtime, RuntimeTensor, Session } from '../runtime/types';
import { blockAlignedChunk } from '../formats/chunks';
import type { ScoringPlan } from './scoringPlan';

/** What the head is asked for: losses of `targets` [rows] given `hidden` [rows, hiddenSize]. */
export interface HeadRequest {
  readonly container: TensorContainer;
  /** Name of the head's matrix [vocabulary, hiddenSize]: `lm_head.weight`, or the embedding where they are tied. */
  readonly table: string;
  /** The whole matrix where it fits; else it is read slice by slice. */
  readonly matrix: RuntimeTensor | undefined;
  readonly norm: RuntimeTensor;
  readonly hidden: Float32Array;
  readonly targets: BigInt64Array;
  readonly progress: (share: number) => void;
  readonly signal: AbortSignal | undefined;
}

/** Final norm, head and loss, a few rows and a slice of the vocabulary at a time, so that logits stay small. */
export class HeadLoss {
  private constructor(
    private readonly session: Session,
    private readonly config: DecoderConfig,
    private readonly plan: ScoringPlan,
  ) {}

  static async create(runtime: Runtime, config: DecoderConfig, plan: ScoringPlan): Promise<HeadLoss> {
    return new HeadLoss(await runtime.createFromGraph(headLossGraph(config), { keep: false }), config, plan);
  }

  /**
   * Sum of -log p(target) over all rows in nats, accumulated in float64. Slices are joined by
   * log(e^a + e^b) = max(a, b) + log(1 + e^-|a - b|).
   */
  async score(request: HeadRequest): Promise<number> {
    const { vocabularySize, hiddenSize } = this.config;
    const rows = request.targets.length;
    const totals = new Float64Array(rows).fill(-Infinity);
    const chosen = new Float64Array(rows);
    const slices = request.matrix ? vocabularySize : this.plan.headSlice;
    for (let from = 0; from < vocabularySize; from += slices) {
      const size = Math.min(slices, vocabularySize - from);
      const head = request.matrix ?? (await readSlice(request, from, size, hiddenSize));
      for (let row = 0; row < rows; row += this.plan.headRows) {
        throwIfCancelled(request.signal);
        request.progress((from + (size * row) / rows) / vocabularySize);
        await this.scoreRows(request, head, from, row, Math.min(this.plan.headRows, rows - row), { totals, chosen });
      }
    }
    let loss = 0;
    for (let row = 0; row < rows; row += 1) loss += (totals[row] as number) - (chosen[row] as number);
    return loss;
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  private async scoreRows(
    { norm, hidden, targets }: HeadRequest,
    head: RuntimeTensor,
    from: number,
    row: number,
    count: number,
    sums: { readonly totals: Float64Array; readonly chosen: Float64Array },
  ): Promise<void> {
    const { hiddenSize } = this.config;
    const size = head.shape[0] as number;
    const local = new BigInt64Array(count);
    for (let index = 0; index < count; index += 1) {
      const target = Number(targets[row + index]) - from;
      local[index] = BigInt(target >= 0 && target < size ? target : 0);
    }
    const results = await this.session.run({
      hidden: { dtype: 'float32', shape: [count, hiddenSize], data: hidden.subarray(row * hiddenSize, (row + count) * hiddenSize) },
      targets: { dtype: 'int64', shape: [count], data: local },
      head,
      [finalNormName]: norm,
    });
    const total = (results['total'] as RuntimeTensor).data as Float32Array;
    const logits = (results['chosen'] as RuntimeTensor).data as Float32Array;
    for (let index = 0; index < count; index += 1) {
      const a = sums.totals[row + index] as number;
      const b = total[index] as number;
      sums.totals[row + index] = a === -Infinity ? b : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
      const target = Number(targets[row + index]) - from;
      if (target >= 0 && target < size) sums.chosen[row + index] = logits[index] as number;
    }
  }
}

async function readSlice({ container, table }: HeadRequest, from: number, size: number, width: number): Promise<RuntimeTensor> {
  const entry = container.tensors.get(table);
  const data = new Float32Array(size * width);
  if (entry) decodeToFloat32(entry.dtype, await container.read(table, blockAlignedChunk(entry, from * width, size * width)), data);
  return { dtype: 'float32', shape: [size, width], data };
}
