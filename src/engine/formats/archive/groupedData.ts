import { numberToFloat16 } from '../../../common/halfFloat';
import { decodeToFloat32 } from '../decode';
import { packPlanes, planeBytes, unpackPlanes } from './bitPlanes';
import { checkCounts, type EncodedTensor } from './learnedData';
import { matrixOf, type GroupedFields, type GroupedTensor } from './tensorKinds';
import { collectClass, entriesByWidth, groupCount, groupsByWidth, spreadClass, type GroupGrid } from './widthClasses';

/** The groups as a grid with one entry each. */
const groupsAsEntries = (groups: number): GroupGrid => ({ rows: 1, columns: groups, groupSize: 1 });

/**
 * Encodes a matrix with scales: the table of widths as bit planes (only if widths differ), then, for each width in ascending order, the
 * codes of its groups as bit planes; scales in their type; zero points as bit planes of their groups' widths. Pruned groups store nothing.
 */
export function encodeGrouped(tensor: GroupedTensor): EncodedTensor<GroupedFields> {
  const { name, shape, transposed, bits, groupSize, granularity, symmetric, scaleDType, groupBits } = tensor;
  const grid: GroupGrid = { ...matrixOf(shape), groupSize };
  const total = groupCount(grid);
  const widths = groupBits ?? new Uint8Array(total).fill(bits);
  const layout = layoutOf(grid, widths, tensor);
  const counted = [...groupsByWidth(widths).entries()].filter(([, count]) => count > 0);
  const bytes = new Uint8Array(layout.length);
  let position = 0;
  if (groupBits) {
    const smallest = counted[0]?.[0] ?? 0;
    position = packPlanes(
      widths.map((width) => width - smallest),
      total,
      layout.tableBits,
      bytes,
      0,
    );
  }
  const buffer = new Uint8Array(Math.max(total, ...layout.entries));
  for (const [width] of counted) {
    const count = collectClass(tensor.codes, grid, widths, width, buffer);
    position = packPlanes(buffer, count, width, bytes, position);
  }
  const view = new DataView(bytes.buffer);
  for (let group = 0, stored = 0; stored < layout.scales; group += 1) {
    if (widths[group] === 0) continue;
    const scale = tensor.scales[group] as number;
    if (scaleDType === 'float16') view.setUint16(position, numberToFloat16(scale), true);
    else view.setFloat32(position, scale, true);
    position += scaleDType === 'float16' ? 2 : 4;
    stored += 1;
  }
  if (!symmetric) {
    if (granularity === 'tensor') packPlanes(tensor.zeroPoints, layout.scales, bits, bytes, position);
    else
      for (const [width] of counted) {
        const count = collectClass(tensor.zeroPoints, groupsAsEntries(total), widths, width, buffer);
        position = packPlanes(buffer, count, width, bytes, position);
      }
  }
  return {
    fields: {
      name,
      kind: 'grouped',
      shape,
      transposed,
      bits,
      groupSize,
      granularity,
      symmetric,
      scales: scaleDType,
      ...(groupBits ? { groups: counted } : {}),
    },
    bytes,
  };
}

/** The inverse of `encodeGrouped`. */
export function decodeGrouped(fields: GroupedFields, bytes: Uint8Array, fail: (place: number, message: string) => Error): GroupedTensor {
  const { name, shape, transposed, bits, groupSize, granularity, symmetric, scales: scaleDType } = fields;
  const grid: GroupGrid = { ...matrixOf(shape), groupSize };
  const total = groupCount(grid);
  const tableBits = fields.groups ? tableBitsOf(fields.groups.map(([width]) => width)) : 0;
  const tableBytes = fields.groups ? planeBytes(total, tableBits) : 0;
  if (bytes.length < tableBytes) throw fail(0, `its table of widths needs ${tableBytes} bytes, but its data has ${bytes.length}`);
  const widths = new Uint8Array(total);
  if (fields.groups) {
    const smallest = fields.groups[0]?.[0] ?? 0;
    unpackPlanes(bytes, 0, total, tableBits, widths);
    for (let group = 0; group < total; group += 1) widths[group] = Math.min((widths[group] as number) + smallest, 255);
    checkCounts(widths, fields.groups, (message) => fail(0, message));
  } else widths.fill(bits);
  const layout = layoutOf(grid, widths, { bits, granularity, symmetric, scaleDType, ...(fields.groups ? { groupBits: widths } : {}) });
  if (layout.length !== bytes.length) throw fail(tableBytes, `its widths need ${layout.length} bytes, but its data has ${bytes.length}`);
  const classes = [...layout.entries.keys()].filter((width) => (layout.groups[width] as number) > 0);
  const codes = new Uint8Array(grid.rows * grid.columns);
  const buffer = new Uint8Array(Math.max(total, ...layout.entries));
  let position = tableBytes;
  for (const width of classes) {
    position = unpackPlanes(bytes, position, layout.entries[width] as number, width, buffer);
    spreadClass(buffer, grid, widths, width, codes);
  }
  const scaleBytes = layout.scales * (scaleDType === 'float16' ? 2 : 4);
  const stored = decodeToFloat32(scaleDType, bytes.slice(position, position + scaleBytes));
  position += scaleBytes;
  const scales = new Float32Array(total);
  const zeroPoints = new Uint8Array(total);
  if (granularity === 'tensor') scales.fill(stored[0] ?? 0);
  else for (let group = 0, next = 0; group < total; group += 1) if (widths[group] !== 0) scales[group] = stored[next++] as number;
  if (symmetric)
    for (let group = 0; group < total; group += 1) zeroPoints[group] = widths[group] === 0 ? 0 : 2 ** ((widths[group] as number) - 1);
  else if (granularity === 'tensor') {
    unpackPlanes(bytes, position, layout.scales, bits, buffer);
    zeroPoints.fill(buffer[0] ?? 0);
  } else
    for (const width of classes) {
      position = unpackPlanes(bytes, position, layout.groups[width] as number, width, buffer);
      spreadClass(buffer, groupsAsEntries(total), widths, width, zeroPoints);
    }
  return {
    name,
    shape,
    transposed,
    bits,
    groupSize,
    granularity,
    symmetric,
    scaleDType,
    codes,
    scales,
    zeroPoints,
    ...(fields.groups ? { groupBits: widths } : {}),
  };
}

/** The float32 weights of a grouped tensor in canonical order: (code - zero point) * scale, rounded once. */
export function groupedValues(tensor: GroupedTensor): Float32Array {
  const { rows, columns } = matrixOf(tensor.shape);
  const values = new Float32Array(rows * columns);
  let group = 0;
  for (let row = 0; row < rows; row += 1)
    for (let column = 0; column < columns; column += tensor.groupSize, group += 1) {
      const scale = tensor.scales[group] as number;
      const zero = tensor.zeroPoints[group] as number;
      const end = row * columns + Math.min(column + tensor.groupSize, columns);
      for (let index = row * columns + column; index < end; index += 1) values[index] = ((tensor.codes[index] as number) - zero) * scale;
    }
  return values;
}

interface GroupedLayout {
  readonly groups: Float64Array;
  readonly entries: Float64Array;
  /** Bits per entry of the table of widths. */
  readonly tableBits: number;
  /** Stored scales. */
  readonly scales: number;
  readonly length: number;
}

function layoutOf(
  grid: GroupGrid,
  widths: Uint8Array,
  tensor: Pick<GroupedTensor, 'bits' | 'granularity' | 'symmetric' | 'scaleDType' | 'groupBits'>,
): GroupedLayout {
  const groups = groupsByWidth(widths);
  const entries = entriesByWidth(grid, widths);
  const total = widths.length;
  const single = tensor.granularity === 'tensor';
  const scales = single ? Math.min(1, total) : total - (groups[0] as number);
  const tableBits = tensor.groupBits ? tableBitsOf([...groups.keys()].filter((width) => (groups[width] as number) > 0)) : 0;
  const codeBytes = entries.reduce((sum, count, width) => sum + planeBytes(count, width), 0);
  const zeroBytes = tensor.symmetric
    ? 0
    : single
      ? planeBytes(scales, tensor.bits)
      : groups.reduce((sum, count, width) => sum + planeBytes(count, width), 0);
  const scaleBytes = scales * (tensor.scaleDType === 'float16' ? 2 : 4);
  return { groups, entries, tableBits, scales, length: planeBytes(total, tableBits) + codeBytes + scaleBytes + zeroBytes };
}

/** Bits per table entry for widths in ascending order. */
function tableBitsOf(widths: readonly number[]): number {
  return Math.ceil(Math.log2(1 + (widths.at(-1) ?? 0) - (widths[0] ?? 0)));
}
