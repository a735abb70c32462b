import type { Attribute } from '../../../graph/graph';
import type { ConstantData } from '../../../graph/types';
import { newNodeMessage } from '../edits';
import { encodeAttribute, withoutTrailing } from '../encodeModel';
import { TensorProto_DataType, type AttributeProto, type NodeProto } from '../generated/onnx';

/** What is known of a model's values while its nodes are upgraded. */
export interface KnownValues {
  /** True if a node of this list or of its bodies takes the value, or it is an output of one of them. */
  isUsed(name: string): boolean;
  /** Element type by number of the schema; undefined where the model does not say. */
  elementType(name: string): number | undefined;
  /** Number of axes; undefined where the model does not say. */
  rank(name: string): number | undefined;
  /** Values of a float32 constant with few elements. */
  floats(name: string): readonly number[] | undefined;
}

/** What an upgraded model is for: a graph that only infers can drop what training needs. */
export type UpgradePurpose = 'inference' | 'training';

/** The place where a node is: a graph, or the body of a function. */
export interface NodeScope {
  readonly purpose: UpgradePurpose;
  /** Adds a constant that the node can take; returns its name. */
  constant(stem: string, data: ConstantData): string;
  uniqueName(stem: string): string;
}

/** A node as it is upgraded from one opset to another: reads the old form, and makes the new one. */
export class OldNode {
  /** Nodes to be put in front of this one and behind it. */
  readonly before: NodeProto[] = [];
  readonly after: NodeProto[] = [];

  constructor(
    readonly node: NodeProto,
    readonly values: KnownValues,
    private readonly range: { readonly current: number; readonly version: number },
    private readonly scope: NodeScope,
  ) {}

  /** True if the upgrade leads over this opset. */
  crosses(opset: number): boolean {
    return opset > this.range.current && opset <= this.range.version;
  }

  get forTraining(): boolean {
    return this.scope.purpose === 'training';
  }

  get input(): string {
    return this.node.input[0] ?? '';
  }

  attribute(name: string): AttributeProto | undefined {
    return this.node.attribute.find((item) => item.name === name);
  }

  int(name: string): number | undefined {
    const attribute = this.attribute(name);
    return attribute && Number(attribute.i);
  }

  float(name: string): number | undefined {
    return this.attribute(name)?.f;
  }

  ints(name: string): readonly bigint[] | undefined {
    return this.attribute(name)?.ints;
  }

  text(name: string): string | undefined {
    const attribute = this.attribute(name);
    return attribute && Buffer.from(attribute.s).toString('utf8');
  }

  /** Takes attributes out. */
  removeAttributes(...names: readonly string[]): void {
    this.node.attribute = this.node.attribute.filter(({ name }) => !names.includes(name));
  }

  setAttribute(name: string, attribute: Attribute): void {
    this.removeAttributes(name);
    this.node.attribute.push(encodeAttribute(name, attribute));
  }

  /** All inputs, the first included; empty names are omitted inputs. */
  setInputs(...inputs: readonly string[]): void {
    this.node.input = withoutTrailing(inputs);
  }

  /** A vector, or with an empty shape a scalar, of int64 as a constant. */
  int64(piece: string, values: readonly (number | bigint)[], shape: readonly number[] = [values.length]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer);
    return this.scope.constant(this.stem(piece), { kind: 'inline', dtype: 'int64', shape, bytes });
  }

  float32(piece: string, values: readonly number[], shape: readonly number[] = [values.length]): string {
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    return this.scope.constant(this.stem(piece), { kind: 'inline', dtype: 'float32', shape, bytes });
  }

  /** A float scalar in the type of the node's first input. */
  scalarLikeInput(piece: string, value: number): string {
    const scalar = this.float32(piece, [value], []);
    const type = this.values.elementType(this.input);
    if (type === TensorProto_DataType.FLOAT) return scalar;
    return type === undefined
      ? this.put('before', 'CastLike', [scalar, this.input])
      : this.put('before', 'Cast', [scalar], { to: { kind: 'int', value: type } });
  }

  /** Puts a node in front of this one or behind it; returns the name of its output. */
  put(
    where: 'before' | 'after',
    op: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>> = {},
    output = this.scope.uniqueName(this.stem(op)),
  ): string {
    const node = { op, domain: this.node.domain, inputs, outputs: [output], attributes };
    this[where].push(newNodeMessage(node, this.uniqueName(op)));
    return output;
  }

  uniqueName(piece: string): string {
    return this.scope.uniqueName(this.stem(piece));
  }

  /** True if something takes an output behind the first. */
  get extraIsUsed(): boolean {
    return this.node.output.slice(1).some((name) => name !== '' && this.values.isUsed(name));
  }

  /** Drops the outputs behind the first. */
  dropOutputs(): void {
    this.node.output = this.node.output.slice(0, 1);
  }

  private stem(piece: string): string {
    return `${this.node.name || this.node.opType}_${piece}`;
  }
}
