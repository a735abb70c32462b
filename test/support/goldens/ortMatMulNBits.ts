import { matMulNBits } from '../../../src/engine/outputs/storage/matMulNBits';
import type { MatrixLayout } from '../../../src/engine/outputs/planned/plannedTensor';
import { GraphBuilder, int } from '../../../src/engine/graph/builder';
import { operators } from '../../../src/engine/ops/index';
import { feedTensor, runGraph } from '../runGraph';
import { float32Of, inputTensor, numberParam, outputTensor, type Golden, type GoldenCheck, type GoldenRunner } from './golden';

/**
 * ONNX Runtime's 4-bit matrices: our form reads their bytes and writes the same ones, and the operator in our graphs gives their outputs. Their quantisers (one of
 * them with zero points between levels) are not run.
 */
export const ortMatMulNBits: GoldenRunner = async (golden, check) => {
  if (golden.outputs['levels'] !== undefined) compareStorage(golden, check);
  else ['packed', 'scales', 'zero_points'].forEach((name) => check.leaveOut(name));
  await compareOutputs(golden, check);
};

function layoutOf(golden: Golden): MatrixLayout {
  const [rows, columns] = outputTensor(golden, 'levels').shape as [number, number];
  return {
    kind: 'grouped',
    rows,
    columns,
    bits: numberParam(golden, 'bits'),
    groupSize: numberParam(golden, 'block_size'),
    granularity: 'group',
    symmetric: golden.params['symmetric'] === true,
    scaleDType: 'float32',
  };
}

function compareStorage(golden: Golden, check: GoldenCheck): void {
  const layout = layoutOf(golden);
  const packed = outputTensor(golden, 'packed');
  const zeroPoints = golden.outputs['zero_points'] === undefined ? undefined : outputTensor(golden, 'zero_points');
  const scales = float32Of(outputTensor(golden, 'scales'));
  const bytesOf = (data: readonly number[]): Uint8Array => Uint8Array.from(data);
  const read = matMulNBits.decode(
    {
      codes: { dtype: 'uint8', shape: packed.shape, bytes: bytesOf(packed.data) },
      scales: { dtype: 'float32', shape: [scales.length], bytes: new Uint8Array(scales.buffer) },
      ...(zeroPoints && { zeros: { dtype: 'uint8' as const, shape: zeroPoints.shape, bytes: bytesOf(zeroPoints.data) } }),
    },
    layout,
  );
  check.compare('levels', read.codes);
  check.compare('scales', read.scales, { abs: 0, rel: 1e-6 });
  check.compare('zero_levels', read.zeroPoints);
  const groups = Math.ceil(layout.columns / layout.groupSize);
  check.compare(
    'dequantized',
    Float32Array.from(read.codes, (code, index) => {
      const at = Math.floor(index / layout.columns) * groups + Math.floor((index % layout.columns) / layout.groupSize);
      return (code - (read.zeroPoints[at] as number)) * (read.scales[at] as number);
    }),
  );
  const written = matMulNBits.encode({ ...layout, codes: read.codes, scales: read.scales, zeroPoints: read.zeroPoints });
  // Places that no level and no zero point uses are filled differently; they are never read.
  const used = usedPlaces(packed.data.length, layout);
  check.compare(
    'packed',
    packed.data.map((theirs, index) => (used(index) ? ((written['codes']?.bytes[index] as number | undefined) ?? -1) : theirs)),
  );
  if (zeroPoints) {
    const perRow = zeroPoints.data.length / layout.rows;
    const ours = written['zeros']?.bytes ?? new Uint8Array();
    check.compare(
      'zero_points',
      zeroPoints.data.map((theirs, index) => {
        const usedBits = Math.min(8, groups * layout.bits - (index % perRow) * 8);
        const mask = 2 ** usedBits - 1;
        return (theirs & ~mask & 255) | ((ours[index] ?? 0) & mask);
      }),
    );
  }
}

function usedPlaces(total: number, { rows, columns, bits }: { readonly rows: number; readonly columns: number; readonly bits: number }) {
  const perRow = total / rows;
  return (index: number): boolean => (index % perRow) * (8 / bits) < columns;
}

/** The operator with their bytes as they are. */
async function compareOutputs(golden: Golden, check: GoldenCheck): Promise<void> {
  const x = inputTensor(golden, 'x');
  const b = inputTensor(golden, 'b');
  const attributes = golden.params['attributes'] as Readonly<Record<string, number>>;
  const build = new GraphBuilder(operators, 'golden');
  const input = build.input('x', { dtype: 'float32', shape: x.shape });
  const constant = (name: string): ReturnType<GraphBuilder['constant']> | undefined => {
    if (golden.outputs[name] === undefined) return undefined;
    const { dtype, shape, data } = outputTensor(golden, name);
    const bytes = dtype === 'float32' ? new Uint8Array(Float32Array.from(data).buffer) : Uint8Array.from(data);
    return build.constant({ kind: 'inline', dtype: dtype as 'float32', shape, bytes });
  };
  const y = build.op(
    'MatMulNBits',
    [input, constant('packed'), constant('scales'), constant('zero_points')],
    Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, int(value)])),
    { domain: 'com.microsoft' },
  );
  build.output(y, 'y');
  const weight = build.constant({ kind: 'inline', dtype: 'float32', shape: b.shape, bytes: new Uint8Array(float32Of(b).buffer) });
  build.output(build.op('MatMul', [input, weight]), 'y_float');
  const results = await runGraph(build.finish(), { x: feedTensor('float32', x.shape, x.data) });
  check.compare('y', Array.from(results['y']?.data as ArrayLike<number>, Number));
  check.compare('y_float', Array.from(results['y_float']?.data as ArrayLike<number>, Number));
}
