import { create } from '@bufbuild/protobuf';
import { dtypeOfElementType, elementTypeOf } from '../../graph/elementTypes';
import type { Dimension, TensorType } from '../../graph/types';
import {
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type TensorShapeProto,
  type TypeProto,
} from './generated/onnx';

/** Conversion of value types between graphs and messages of the schema. */

/** The message of a tensor type; undefined for an unknown type. */
export function encodeTypeProto(type: TensorType): TypeProto | undefined {
  const elemType = elementTypeOf(type.dtype);
  if (type.unknown === true || elemType === undefined) return undefined;
  const shape =
    type.shape &&
    create(TensorShapeProtoSchema, {
      dim: type.shape.map((length) =>
        create(TensorShapeProto_DimensionSchema, {
          value: typeof length === 'number' ? { case: 'dimValue', value: BigInt(length) } : { case: 'dimParam', value: length },
        }),
      ),
    });
  return create(TypeProtoSchema, {
    value: { case: 'tensorType', value: create(TypeProto_TensorSchema, shape === undefined ? { elemType } : { elemType, shape }) },
  });
}

/**
 * The graph type of a message. Sequences, maps, optionals and sparse tensors are unknown to graphs. `stem` is the base of names for unnamed
 * axes.
 */
export function decodeTypeProto(type: TypeProto | undefined, stem: string): TensorType {
  const unknown = { dtype: 'float32' as const, shape: undefined, unknown: true as const };
  if (type?.value.case !== 'tensorType') return unknown;
  const dtype = dtypeOfElementType(type.value.value.elemType);
  if (dtype === undefined) return unknown;
  return { dtype, shape: decodeShape(type.value.value.shape, stem) };
}

/** Known and named lengths; an axis without either is called `<stem>.<axis>`. */
export function decodeShape(shape: TensorShapeProto | undefined, stem: string): readonly Dimension[] | undefined {
  return shape?.dim.map(({ value }, axis): Dimension => {
    // Some exporters write -1 for an unknown length.
    if (value.case === 'dimValue' && value.value >= 0n) return Number(value.value);
    return value.case === 'dimParam' && value.value !== '' ? value.value : `${stem}.${axis}`;
  });
}

/** Display name of a type: `float32`, or `sequence`, `map`, `optional`, `unknown`. */
export function typeWord(type: TypeProto | undefined): string {
  const kind = type?.value.case;
  if (kind === 'tensorType') return dtypeOfElementType(type?.value.case === 'tensorType' ? type.value.value.elemType : 0) ?? 'unknown';
  return kind === undefined ? 'unknown' : kind.replace(/Type$/, '').replace('sparseTensor', 'sparse tensor');
}
