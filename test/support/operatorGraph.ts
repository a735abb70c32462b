import { GraphBuilder } from '../../src/engine/graph/builder';
import type { Graph } from '../../src/engine/graph/graph';
import type { Dimension } from '../../src/engine/graph/types';
import { operators } from '../../src/engine/ops';
import type { CaseInput, OperatorCase } from './operatorCases';

/** Graph of one node; `lengthOf` says how a fed axis is declared. */
export function operatorGraph(row: OperatorCase, lengthOf: (length: number) => Dimension): Graph {
  const build = new GraphBuilder(operators, 'row', row.opset ?? 21);
  const inputs = row.inputs.map((input, index) => {
    if (input === undefined) return undefined;
    if (input.kind === 'constant') return build.constant(input.data);
    // A vector of lengths says how many there are, whatever else is unknown.
    const shape = input.dtype === 'int64' && input.shape.length === 1 && input.values ? input.shape : input.shape.map(lengthOf);
    return build.input(`x${index}`, { dtype: input.dtype, shape });
  });
  const count = row.outputs ?? 1;
  const values = build.node(row.op, inputs, row.attributes ?? {}, {
    ...(row.domain === undefined ? {} : { domain: row.domain }),
    outputNames: Array.from({ length: count }, (_, index) => `y${index}`),
  });
  for (const value of values) build.output(value);
  return build.finish();
}

/** True for inputs that are fed at run time. */
export const isFed = (input: CaseInput): input is NonNullable<CaseInput> & { readonly kind: 'fed' } => input?.kind === 'fed';

/** Operator and inputs of a row, for names of tests. */
export function titleOf(row: OperatorCase): string {
  const inputs = row.inputs.map((input) =>
    input === undefined
      ? '-'
      : `${input.kind === 'fed' ? 'fed' : 'const'}[${(input.kind === 'fed' ? input.shape : input.data.shape).join(',')}]`,
  );
  return `${row.domain ? `${row.domain}.` : ''}${row.op}(${inputs.join(' ')})`;
}
