import { throwIfCancelled } from '../../protocol/errors';
import type { DecoderConfig } from '../architectures/architecture';
import { finalNormName, headMatrixName } from '../architectures/decoder/expectedTensors';
import { headLossGraph } from '../architectures/decoder/streamingGraphs';
import { readRows, type WeightReader } from '../models/weightReader';
import type { Runtime, RuntimeTensor, Session } from '../runtime/types';

/** How the head is cut, so that its logits stay small. */
export interface HeadCut {
  /** The head's matrix is read whole; otherwise `headSlice` rows of the vocabulary at a time. */
  readonly wholeHead: boolean;
  readonly headSlice: number;
  /** Positions in one run. */
  readonly headRows: number;
}

/** What the head is asked for: losses of `targets` [rows] given `hidden` [rows, hiddenSize]. */
export interface HeadRequest {
  readonly weights: WeightReader;
  readonly hidden: Float32Array;
  readonly targets: BigInt64Array;
  readonly progress: (share: number) => void;
  readonly signal: AbortSignal | undefined;
}

/** Final norm and head as the runtime takes them: all rows of the vocabulary, or some. */
interface HeadPart {
  readonly norm: RuntimeTensor;
  readonly head: RuntimeTensor;
  /** Row of the vocabulary that the part begins with. */
  readonly from: number;
}

/** Final norm, head and loss, a few rows and a slice of the vocabulary at a time, so that logits stay small. */
export class HeadLoss {
  private constructor(
    private readonly session: Session,
    private readonly config: DecoderConfig,
    private readonly cut: HeadCut,
  ) {}

  static async create(runtime: Runtime, config: DecoderConfig, cut: HeadCut): Promise<HeadLoss> {
    return new HeadLoss(await runtime.createFromGraph(headLossGraph(config), { keep: false }), config, cut);
  }

  /**
   * Sum of -log p(target) over all rows in nats, accumulated in float64. Slices are joined by
   * log(e^a + e^b) = max(a, b) + log(1 + e^-|a - b|).
   */
  async score(request: HeadRequest): Promise<number> {
    const { vocabularySize, hiddenSize } = this.config;
    const { weights, signal, progress } = request;
    const rows = request.targets.length;
    const totals = new Float64Array(rows).fill(-Infinity);
    const chosen = new Float64Array(rows);
    const norm: RuntimeTensor = { dtype: 'float32', shape: [hiddenSize], data: await weights.read(finalNormName) };
    const table = headMatrixName(this.config);
    const slices = this.cut.wholeHead ? vocabularySize : this.cut.headSlice;
    for (let from = 0; from < vocabularySize; from += slices) {
      const size = Math.min(slices, vocabularySize - from);
      const data = this.cut.wholeHead ? await weights.read(table) : await readRows(weights, table, from, size);
      const part: HeadPart = { norm, from, head: { dtype: 'float32', shape: [size, hiddenSize], data } };
      for (let row = 0; row < rows; row += this.cut.headRows) {
        throwIfCancelled(signal);
        progress((from + (size * row) / rows) / vocabularySize);
        await this.scoreRows(request, part, row, Math.min(this.cut.headRows, rows - row), { totals, chosen });
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
    { hidden, targets }: HeadRequest,
    { norm, head, from }: HeadPart,
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
