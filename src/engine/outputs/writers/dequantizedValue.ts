import type { OnnxEditor } from '../../formats/onnx/editModel';
import { isStandard } from '../../formats/onnx/walk';

/** Operators that ONNX Runtime removes, or past which it moves DequantizeLinear. */
const moved: ReadonlySet<string> = new Set([
  'Cast',
  'Dropout',
  'Identity',
  'MaxPool',
  'Reshape',
  'Slice',
  'Squeeze',
  'Transpose',
  'Unsqueeze',
]);

/** True if a value of the main graph is, or to ONNX Runtime becomes, the output of a DequantizeLinear. */
export function isDequantized(editor: OnnxEditor, value: string): boolean {
  const passed = new Set<string>();
  for (let name = value; !passed.has(name);) {
    const maker = editor.makerOf(name);
    if (maker === undefined || !isStandard(maker)) return false;
    if (maker.opType === 'DequantizeLinear') return true;
    const [before] = maker.input;
    if (!moved.has(maker.opType) || before === undefined) return false;
    passed.add(name);
    name = before;
  }
  return false;
}
