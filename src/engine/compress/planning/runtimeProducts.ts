import { subtractProduct, type MatrixPart, type Products } from '../../kernels/host/secondOrder/subtractProduct';
import { GraphBuilder } from '../../graph/builder';
import type { Graph } from '../../graph/graph';
import { operators } from '../../ops/index';
import type { Runtime, RuntimeTensor, Session } from '../../runtime/types';

/** Multiply-adds from which the runtime is faster than the loop: below, copying costs more than it saves. */
const worthwhile = 2 ** 24;
/** Bytes of a product that is made at once. */
const productBytes = 64e6;

/**
 * Products of large matrices by the runtime, in float64, on all its threads; small ones by the loop. A product takes the copies of its factors that are not contiguous, and
 * at most 64 MB for the result.
 */
export class RuntimeProducts implements Products {
  readonly large = true;
  private session: Promise<Session> | undefined;

  constructor(private readonly runtime: Runtime) {}

  async subtract(c: MatrixPart, a: MatrixPart, b: MatrixPart, rows: number, inner: number, columns: number): Promise<void> {
    if (rows * inner * columns < worthwhile) return subtractProduct(c, a, b, rows, inner, columns);
    this.session ??= this.runtime.createFromGraph(productGraph(), { keep: false });
    const session = await this.session;
    const right = tensorOf(b, 0, inner, columns);
    const rowsAtOnce = Math.max(1, Math.floor(productBytes / (8 * columns)));
    for (let first = 0; first < rows; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, rows - first);
      const { product } = await session.run({ left: tensorOf(a, first, count, inner), right });
      const values = (product as RuntimeTensor).data as Float64Array;
      for (let row = 0, index = 0; row < count; row += 1) {
        const start = c.start + (first + row) * c.stride;
        for (let column = 0; column < columns; column += 1, index += 1)
          c.values[start + column] = (c.values[start + column] as number) - (values[index] as number);
      }
    }
  }

  async release(): Promise<void> {
    await (await this.session)?.release();
    this.session = undefined;
  }
}

/** Rows `first` to `first + rows` of a part, [rows, columns], without a copy where they are contiguous. */
function tensorOf({ values, start, stride }: MatrixPart, first: number, rows: number, columns: number): RuntimeTensor {
  const from = start + first * stride;
  const shape = [rows, columns];
  if (stride === columns) return { dtype: 'float64', shape, data: values.subarray(from, from + rows * columns) };
  const data = new Float64Array(rows * columns);
  for (let row = 0; row < rows; row += 1) data.set(values.subarray(from + row * stride, from + row * stride + columns), row * columns);
  return { dtype: 'float64', shape, data };
}

function productGraph(): Graph {
  const build = new GraphBuilder(operators, 'product');
  const left = build.input('left', { dtype: 'float64', shape: ['rows', 'inner'] });
  const right = build.input('right', { dtype: 'float64', shape: ['inner', 'columns'] });
  build.output(build.op('MatMul', [left, right]), 'product');
  return build.finish();
}
