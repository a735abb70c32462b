import type { Fold, FoldTable } from '../../graph/passes/folding';
import { arithmeticFoldings } from './arithmetic';
import { movementFoldings } from './movement';
import { reductionFoldings } from './reductions';
import { sourceFoldings } from './sources';

/** Evaluation on the host for the operators with which exporters compute shapes, indices and masks. */
export const foldings: FoldTable = {
  fold: (domain, name) => (domain === '' || domain === 'ai.onnx' ? byName.get(name) : undefined),
};

const byName: ReadonlyMap<string, Fold> = new Map([...arithmeticFoldings, ...movementFoldings, ...sourceFoldings, ...reductionFoldings]);
