// Large files that take almost no room on disk: headers are written, the weights are holes (zeros).
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';

const columns = 1024;

/** A safetensors file of so many gigabytes (10^9) of float16 in so many tensors. Gives its size in bytes. */
export function writeSparseSafetensors(path, gigabytes, tensors) {
  const rows = Math.floor((gigabytes * 1e9) / tensors / 2 / columns);
  const size = rows * columns * 2;
  const fields = Array.from(
    { length: tensors },
    (_, i) => `"model.layers.${i}.weight":{"dtype":"F16","shape":[${rows},${columns}],"data_offsets":[${i * size},${(i + 1) * size}]}`,
  );
  const json = Buffer.from(`{${fields.join(',')}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(path, 'w');
  writeSync(file, Buffer.concat([length, json]));
  const bytes = 8 + json.length + tensors * size;
  ftruncateSync(file, bytes);
  closeSync(file);
  return bytes;
}

const varint = (value) => {
  const bytes = [];
  let rest = BigInt(value);
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
};
const tagged = (field, body) => Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);

/** An ONNX file with float32 weights inside, a chain of MatMul. Fields as in onnx.proto. Gives its size in bytes. */
export function writeSparseOnnx(path, gigabytes, tensors) {
  const rows = Math.floor((gigabytes * 1e9) / tensors / columns / 4);
  const size = rows * columns * 4;
  const name = (index) => Buffer.from(`layer.${index}.weight`);
  const node = (index) =>
    tagged(
      1,
      Buffer.concat([
        tagged(1, Buffer.from(`h${index}`)),
        tagged(1, name(index)),
        tagged(2, Buffer.from(`h${index + 1}`)),
        tagged(4, Buffer.from('MatMul')),
      ]),
    );
  const nodes = Buffer.concat(Array.from({ length: tensors }, (_, index) => node(index)));
  const heads = Array.from({ length: tensors }, (_, index) => {
    const body = Buffer.concat([
      number(1, rows),
      number(1, columns),
      number(2, 1),
      tagged(8, name(index)),
      varint(9 * 8 + 2),
      varint(size),
    ]);
    return Buffer.concat([varint(5 * 8 + 2), varint(body.length + size), body]);
  });
  const graphLength = nodes.length + heads.reduce((sum, bytes) => sum + bytes.length + size, 0);
  const start = Buffer.concat([number(1, 10), tagged(8, number(2, 21)), varint(7 * 8 + 2), varint(graphLength), nodes]);
  const file = openSync(path, 'w');
  writeSync(file, start, 0, start.length, 0);
  let position = start.length;
  for (const bytes of heads) {
    writeSync(file, bytes, 0, bytes.length, position);
    position += bytes.length + size;
  }
  ftruncateSync(file, position);
  closeSync(file);
  return position;
}
