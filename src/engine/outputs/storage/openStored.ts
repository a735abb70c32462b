import { LoomweightError } from '../../../protocol/errors';
import type { LayerLayout } from '../../../protocol/report';
import { groupsPerRow, type MatrixLayout, type SparseLayout } from '../planned/plannedTensor';
import { dequantizeLinear } from './dequantizeLinear';
import { embeddingRows } from './embeddingRows';
import { learnedDequantizeForm, storedDequantized } from './learnedDequantize';
import { learnedForm, storedLearned } from './learnedPacked';
import { matMulNBits } from './matMulNBits';
import type { MatrixForm } from './matrixForm';
import { mixedForm, storedMixedMatrix } from './mixedMatrix';
import { selfUnpacking } from './selfUnpacking';
import { sparseForm, storedSparse } from './sparseMatrix';
import { storedMatrix, type StoredTensor } from './storedTensor';

/** Opens a stored tensor from what a report says of it. */
type Opener = (layer: LayerLayout, details: Details) => StoredTensor;

const matrixForms: readonly MatrixForm[] = [dequantizeLinear, matMulNBits, embeddingRows, selfUnpacking()];

/** Every storage form by its name in reports. To add one: its file and a line here. */
const openers: Readonly<Record<string, Opener>> = {
  ...Object.fromEntries(
    matrixForms.map((form): [string, Opener] => [
      form.id,
      (layer, details) => {
        const layout = matrixLayout(layer, details);
        if (form.refuse(layout) !== undefined) throw details.unsound('details');
        return storedMatrix(form, layout);
      },
    ]),
  ),
  [mixedForm]: (layer, details) =>
    storedMixedMatrix(
      matrixLayout(layer, details),
      details.parts(({ from, to, classes }) => ({ from, to, classes: classes(groupsOf(layer, details, to - from)) })),
    ),
  [learnedForm]: ({ rows, columns }, details) =>
    storedLearned(
      rows,
      columns,
      details.parts(({ from, to, count, classes }) => {
        const [start, entries, groupSize] = [count('start'), count('columns'), Math.max(1, count('groupSize'))];
        const [first, last] = [from * columns, to * columns];
        // A part begins with the group of its first entry, or its entries are one group of one width.
        const single = start === first && entries === last - first && groupSize === Math.max(1, entries);
        const begin = Math.floor(first / groupSize) * groupSize;
        const grouped = start === begin && entries === Math.min(Math.ceil(last / groupSize) * groupSize, rows * columns) - begin;
        if (!single && !grouped) throw details.unsound('parts');
        return { from, to, start, columns: entries, groupSize, classes: classes(single ? 1 : Math.ceil(entries / groupSize)) };
      }),
    ),
  [learnedDequantizeForm]: ({ rows, columns }) => storedDequantized(rows, columns),
  [sparseForm]: (layer, details) =>
    storedSparse(
      sparseLayout(layer, details),
      details.parts(({ from, to, count }) => ({ from, to, kept: count('kept') })),
    ),
};

/**
 * The stored tensor of a layer of an output, from its report alone. Errors: `malformed-file` for a layout that cannot be, `unsupported` for a form that this version
 * does not know.
 */
export function openStored(name: string, layer: LayerLayout): StoredTensor {
  const opener = Object.hasOwn(openers, layer.form) ? openers[layer.form] : undefined;
  if (!opener)
    throw new LoomweightError(
      'unsupported',
      `'${name}' is stored in the form '${String(layer.form)}', which this version does not support. Update Loomweight.`,
      {
        tensor: name,
        form: layer.form,
      },
    );
  return opener(layer, new Details(name, layer));
}

/** One part of a layer, as its details list it. */
interface PartReader {
  readonly from: number;
  readonly to: number;
  count(key: string): number;
  /** Widths ascending, with the number of their groups; `groups` in all. */
  classes(groups: number): readonly { readonly bits: number; readonly groups: number }[];
}

/** Reads a report, which is untrusted input. */
class Details {
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(
    private readonly name: string,
    private readonly layer: LayerLayout,
  ) {
    this.values = layer.details ?? {};
    for (const key of ['rows', 'columns'] as const)
      if (!isCount(layer[key]) || layer.rows * layer.columns > 2 ** 40) throw this.unsound(key);
  }

  count(key: string, least: number, most: number): number {
    const value = this.values[key];
    if (!isCount(value) || value < least || value > most) throw this.unsound(key);
    return value;
  }

  flag(key: string): boolean {
    return this.values[key] === true;
  }

  word<Word extends string>(key: string, words: readonly Word[]): Word {
    const found = words.find((word) => word === this.values[key]);
    if (found === undefined) throw this.unsound(key);
    return found;
  }

  inner(key: string): Details | undefined {
    const details = this.values[key];
    if (details === undefined) return undefined;
    if (typeof details !== 'object' || details === null) throw this.unsound(key);
    return new Details(this.name, { ...this.layer, details: details as Readonly<Record<string, unknown>> });
  }

  /** Parts that cover all rows in order. */
  parts<Part>(read: (part: PartReader) => Part): readonly Part[] {
    const listed = this.values['parts'];
    if (!Array.isArray(listed) || listed.length === 0) throw this.unsound('parts');
    let row = 0;
    const parts = (listed as unknown[]).map((item) => {
      const fields = (typeof item === 'object' && item !== null ? item : {}) as Readonly<Record<string, unknown>>;
      const count = (key: string): number => {
        const value = fields[key];
        if (!isCount(value) || value > this.layer.rows * this.layer.columns) throw this.unsound(`parts.${key}`);
        return value;
      };
      const [from, to] = [count('from'), count('to')];
      if (from !== row || to < from) throw this.unsound('parts');
      row = to;
      return read({ from, to, count, classes: (groups) => this.classes(fields['classes'], groups) });
    });
    if (row !== this.layer.rows) throw this.unsound('parts');
    return parts;
  }

  private classes(value: unknown, expected: number): readonly { readonly bits: number; readonly groups: number }[] {
    if (!Array.isArray(value)) throw this.unsound('parts.classes');
    const classes = (value as unknown[]).map((item) => {
      const { bits, groups } = (typeof item === 'object' && item !== null ? item : {}) as {
        readonly bits?: unknown;
        readonly groups?: unknown;
      };
      if (!isCount(bits) || bits > 15 || !isCount(groups) || groups > this.layer.rows * this.layer.columns)
        throw this.unsound('parts.classes');
      return { bits, groups };
    });
    const ascending = classes.every(({ bits }, index) => index === 0 || bits > (classes[index - 1]?.bits ?? 0));
    if (!ascending || classes.reduce((sum, { groups }) => sum + groups, 0) !== expected) throw this.unsound('parts.classes');
    return classes;
  }

  unsound(key: string): LoomweightError {
    return new LoomweightError(
      'malformed-file',
      `The layout of '${this.name}' in report.json is invalid: '${key}' has a value that does not match. Compress the model again.`,
      { tensor: this.name, key },
    );
  }
}

/** Groups of some rows of a matrix. */
function groupsOf(layer: LayerLayout, details: Details, rows: number): number {
  return rows * groupsPerRow(matrixLayout(layer, details));
}

function matrixLayout({ rows, columns }: LayerLayout, details: Details): MatrixLayout {
  return {
    kind: 'grouped',
    rows,
    columns,
    bits: details.count('bits', 1, 8),
    groupSize: details.count('groupSize', 1, Math.max(1, columns)),
    granularity: details.word('granularity', ['group', 'row', 'tensor']),
    symmetric: details.flag('symmetric'),
    scaleDType: details.word('scaleDType', ['float16', 'float32']),
    ...(details.flag('zeroPointsAreFloat') ? { zeroPointsAreFloat: true } : {}),
    ...(details.flag('widthsByGroup') ? { widthsByGroup: true } : {}),
    ...(details.flag('columnsAreSorted') ? { columnsAreSorted: true } : {}),
  };
}

function sparseLayout(layer: LayerLayout, details: Details): SparseLayout {
  const { rows, columns } = layer;
  const quantized = details.inner('quantized');
  return {
    kind: 'sparse',
    rows,
    columns,
    pattern: details.word('pattern', ['unstructured', '2:4', '4:8']),
    dtype: details.word('dtype', ['float16', 'bfloat16', 'float32']),
    kept: details.count('kept', 0, rows * columns),
    ...(quantized ? { quantized: matrixLayout(layer, quantized) } : {}),
  };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
