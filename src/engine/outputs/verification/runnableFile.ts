import { create } from '@bufbuild/protobuf';
import { join } from 'node:path';
import { editModel, type OnnxEditor } from '../../formats/onnx/editModel';
import { AttributeProto_AttributeType, AttributeProtoSchema, type NodeProto } from '../../formats/onnx/generated/onnx';

/** Operators that draw random numbers, and the type of their seed. A Dropout draws where it trains. */
const randomOperators: Readonly<Record<string, 'float' | 'int'>> = {
  RandomNormal: 'float',
  RandomNormalLike: 'float',
  RandomUniform: 'float',
  RandomUniformLike: 'float',
  Multinomial: 'float',
  Bernoulli: 'float',
  Dropout: 'int',
};

/** What a graph file has to be changed in before two runs of it, or of a copy of it, can be compared. */
export interface FileNeeds {
  /** Some of its products ask for int8 activations. */
  readonly roundsActivations: boolean;
  /** Some of its operators draw random numbers. */
  readonly draws: boolean;
  /** The runtime's default settings may round the activations of products with dequantised weights. */
  readonly dequantizes: boolean;
}

/** Reads what a file needs. Bodies and functions count. */
export function needsOf(editor: OnnxEditor): FileNeeds {
  const nodes = editor.nodes();
  return {
    roundsActivations: nodes.some((node) => accuracyLevels(node).some(({ i }) => i === 4n)),
    draws: nodes.some(({ opType }) => randomOperators[opType] !== undefined),
    dequantizes: nodes.some(({ opType }) => opType === 'DequantizeLinear'),
  };
}

/** Makes products with stored codes take float32 activations. */
export function takeExactActivations(editor: OnnxEditor): void {
  for (const node of editor.nodes()) for (const level of accuracyLevels(node)) level.i = 1n;
}

/** Gives every operator that draws random numbers a seed of its own, in the order of the nodes: a model and its copy then draw the same. */
export function seedRandomOperators(editor: OnnxEditor): void {
  let seed = 0;
  for (const node of editor.nodes()) {
    const type = randomOperators[node.opType];
    if (type === undefined) continue;
    seed += 1;
    node.attribute = node.attribute.filter(({ name }) => name !== 'seed');
    node.attribute.push(
      create(
        AttributeProtoSchema,
        type === 'float'
          ? { name: 'seed', type: AttributeProto_AttributeType.FLOAT, f: seed }
          : { name: 'seed', type: AttributeProto_AttributeType.INT, i: BigInt(seed) },
      ),
    );
  }
}

/** A file as it is run for comparison: itself, or changed copies in a temporary folder. */
export interface RunnableFile {
  readonly needs: FileNeeds;
  /** As it is, but for the seeds of random operators. */
  readonly path: string;
  /** The same with float32 activations. */
  readonly exactPath: string;
}

/** Writes the copies that a file needs into a folder of the caller. `copy`: write the file as the editor has it, also where it needs no change. */
export async function runnableFile(editor: OnnxEditor, folder: string, name: string, { copy = false } = {}): Promise<RunnableFile> {
  const needs = needsOf(editor);
  let path = editor.path;
  if (needs.draws) seedRandomOperators(editor);
  if (needs.draws || copy) {
    path = join(folder, `${name}.onnx`);
    await editor.write(path);
  }
  if (!needs.roundsActivations) return { needs, path, exactPath: path };
  takeExactActivations(editor);
  const exactPath = join(folder, `${name}-exact.onnx`);
  await editor.write(exactPath);
  return { needs, path, exactPath };
}

/** The same for a file on disk. */
export async function openRunnable(path: string, folder: string, name: string): Promise<RunnableFile> {
  const editor = await editModel(path);
  try {
    return await runnableFile(editor, folder, name);
  } finally {
    await editor.close();
  }
}

function accuracyLevels(node: NodeProto) {
  return node.opType === 'MatMulNBits' ? node.attribute.filter(({ name }) => name === 'accuracy_level') : [];
}
